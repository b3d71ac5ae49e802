// Every cell of cells.inc: what the three places that compile the equations include (cells.h).
#include "cells/egru.inl"
#include "cells/gru.inl"
#include "cells/gru_reset_before.inl"
#include "cells/lstm.inl"
#include "cells/lstm_peephole.inl"
#include "cells/rnn_relu.inl"
#include "cells/rnn_tanh.inl"
