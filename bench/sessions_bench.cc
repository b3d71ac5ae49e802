// sessions_bench [--what threads|pool] [--repetitions N] [--formats A,B] [--hidden A,B]
//                [--threads N] [--pin 1] [--streams N]
//
// threads: times one step (T = 1, B = 1) of an LSTM with I = H in a session with one thread and in
// one with N, after checking that both give the same bits. --pin 1 keeps the t-th thread on the
// t-th core, where it is on a machine with nothing else to do.
// pool: times one step of all of --streams streams, in a pool (in order of their numbers, and
// shuffled) and in as many sessions, after checking the same.
//
// All cases of a size are timed in turn, in one process. Prints the median and the quartiles in
// microseconds, of a step or of the step of one stream.
#include <dirent.h>
#include <sched.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <sstream>

#include "base/machine.h"
#include "base/stopwatch.h"
#include "bench_support.h"
#include "model/build.h"
#include "runtime/pool.h"
#include "runtime/session.h"

namespace espalier {
namespace {

struct Options {
  int repetitions = 25;
  int64_t threads = 2;
  bool pin = false;
  std::string what = "threads";
  int64_t streams = 1000;
  std::vector<std::string> formats = {"slot_8x8", "slot_16x16", "dense"};
  std::vector<std::string> hidden = {"256", "384", "512", "1024", "1536"};
};

// An LSTM with I = H, its matrices drawn in the pieces of the format, at 10 % unless dense.
Artifact Layer(int64_t hidden, const FormatSpec& spec) {
  Rng rng(1);
  GraphBuilder builder("layer", {"x", {Element::kF32, Layout::kSequence, hidden}}, &rng);
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kLstmCell, hidden).Finish());
  ArtifactContent content;
  const double scale = 1.0 / std::sqrt(0.1 * static_cast<double>(hidden));
  for (const MatrixPart& part : ValueOrDie(MatrixPartsOf(graph))) {
    Tensor matrix = RandomMatrix(spec, part.rows, part.cols, 0.1, &rng);
    for (float& value : matrix.values) value *= static_cast<float>(scale);
    RoundMatrix(spec.type, part.cols, matrix.values);
    graph.weights.at(part.weight) = std::move(matrix);
    content.choices[part.name].spec = spec;
  }
  return ValueOrDie(Artifact::FromBytes(ValueOrDie(WriteArtifact(graph, content))));
}

Session SessionOf(const Artifact& artifact, int64_t threads) {
  SessionOptions options;
  options.threads = threads;
  return ValueOrDie(Session::Create(artifact, options));
}

std::vector<float> RandomSteps(int64_t features) {
  Rng rng(2);
  std::vector<float> x(static_cast<size_t>(features));
  for (float& value : x) value = rng.Uniform(-1.0f, 1.0f);
  return x;
}

void PinThreads() {
  DIR* directory = opendir("/proc/self/task");
  std::vector<pid_t> threads;
  while (const dirent* entry = readdir(directory)) {
    const pid_t thread = std::atoi(entry->d_name);
    if (thread > 0) threads.push_back(thread);
  }
  closedir(directory);
  std::sort(threads.begin(), threads.end());
  for (size_t t = 0; t < threads.size(); ++t) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(t, &cores);
    sched_setaffinity(threads[t], sizeof(cores), &cores);
  }
}

void CheckSameBits(Session* one, Session* many, const std::vector<float>& x) {
  for (int step = 0; step < 20; ++step) {
    DieUnlessOk(one->Step(std::span<const float>(x)));
    DieUnlessOk(many->Step(std::span<const float>(x)));
    const auto a = one->Output(0);
    if (std::memcmp(a.data(), many->Output(0).data(), a.size_bytes()) != 0) {
      Die("one thread and several disagree");
    }
  }
}

// Microseconds of a step, in a row of steps that takes about 2 ms, after as many to warm up.
double StepUs(Session* session, const std::vector<float>& x, int steps) {
  for (int i = 0; i < steps; ++i) DieUnlessOk(session->Step(std::span<const float>(x)));
  const Stopwatch watch;
  for (int i = 0; i < steps; ++i) DieUnlessOk(session->Step(std::span<const float>(x)));
  return watch.ElapsedNs() / 1e3 / steps;
}

void TimeThreads(const Options& options, int64_t hidden) {
  for (const std::string& format : options.formats) {
    const Artifact artifact = Layer(hidden, ValueOrDie(FindFormat(format)));
    Session sessions[2] = {SessionOf(artifact, 1), SessionOf(artifact, options.threads)};
    if (options.pin) PinThreads();
    const std::vector<float> x = RandomSteps(hidden);
    CheckSameBits(&sessions[0], &sessions[1], x);
    const double us = StepUs(&sessions[0], x, 3);
    const int steps = std::max(3, static_cast<int>(2000.0 / us));
    std::vector<double> times[2], ratios;
    for (int i = 0; i < options.repetitions; ++i) {
      for (size_t s = 0; s < 2; ++s) times[s].push_back(StepUs(&sessions[s], x, steps));
      ratios.push_back(times[0].back() / times[1].back());
    }
    std::printf("lstm H=%-5lld %-14s", static_cast<long long>(hidden), format.c_str());
    for (size_t s = 0; s < 2; ++s) {
      std::printf("  %zu thread%s %8.2f us (%.2f-%.2f)", sessions[s].threads(),
                  sessions[s].threads() == 1 ? " " : "s", Quantile(times[s], 0.5),
                  Quantile(times[s], 0.25), Quantile(times[s], 0.75));
    }
    std::printf("  ratio %.2f (%.2f-%.2f)\n", Quantile(ratios, 0.5), Quantile(ratios, 0.25),
                Quantile(ratios, 0.75));
    std::fflush(stdout);
  }
}

// All streams of a pool, a session for each, and what they step.
struct Streams {
  StreamPool pool;
  std::vector<Session> sessions;
  std::vector<int32_t> in_order, shuffled;
  std::vector<float> x;
  size_t features;
};

Streams MakeStreams(const Artifact& artifact, int64_t hidden, const Options& options) {
  PoolOptions pool_options;
  pool_options.max_streams = options.streams;
  pool_options.threads = options.threads;
  Streams streams{ValueOrDie(StreamPool::Create(artifact, pool_options)),
                  {},
                  {},
                  {},
                  {},
                  static_cast<size_t>(hidden)};
  for (int64_t i = 0; i < options.streams; ++i) {
    streams.sessions.push_back(SessionOf(artifact, 1));
    streams.in_order.push_back(ValueOrDie(streams.pool.Add()));
  }
  streams.shuffled = streams.in_order;
  Rng rng(3);
  rng.Shuffle(streams.shuffled);
  streams.x = RandomSteps(hidden * options.streams);
  return streams;
}

void StepSessions(Streams* streams) {
  for (size_t i = 0; i < streams->sessions.size(); ++i) {
    const auto x =
        std::span<const float>(streams->x).subspan(i * streams->features, streams->features);
    DieUnlessOk(streams->sessions[i].Step(x));
  }
}

void CheckSameBits(Streams* streams) {
  for (int step = 0; step < 3; ++step) {
    StepSessions(streams);
    DieUnlessOk(streams->pool.Step({streams->in_order, streams->x, {}}));
    for (size_t i = 0; i < streams->sessions.size(); ++i) {
      const auto alone = streams->sessions[i].Output(0);
      const float* found = streams->pool.Output(0).data() + i * alone.size();
      if (std::memcmp(alone.data(), found, alone.size_bytes()) != 0)
        Die("pool and session disagree");
    }
  }
}

void TimePool(const Options& options, int64_t hidden) {
  for (const std::string& format : options.formats) {
    const Artifact artifact = Layer(hidden, ValueOrDie(FindFormat(format)));
    Streams streams = MakeStreams(artifact, hidden, options);
    CheckSameBits(&streams);
    const std::function<void()> cases[3] = {
        [&] { StepSessions(&streams); },
        [&] {
          DieUnlessOk(streams.pool.Step({streams.in_order, streams.x, {}}));
        },
        [&] {
          DieUnlessOk(streams.pool.Step({streams.shuffled, streams.x, {}}));
        }};
    std::vector<double> times[3];
    for (int i = 0; i < options.repetitions; ++i) {
      for (size_t c = 0; c < 3; ++c) {
        cases[c]();
        const Stopwatch watch;
        cases[c]();
        times[c].push_back(watch.ElapsedNs() / 1e3 / static_cast<double>(options.streams));
      }
    }
    std::printf("lstm H=%-5lld %-14s %lld streams", static_cast<long long>(hidden), format.c_str(),
                static_cast<long long>(options.streams));
    const char* const names[3] = {"sessions", "pool", "pool, shuffled"};
    for (size_t c = 0; c < 3; ++c) {
      std::printf("  %s %.3f us (%.3f-%.3f)", names[c], Quantile(times[c], 0.5),
                  Quantile(times[c], 0.25), Quantile(times[c], 0.75));
    }
    std::printf(
        "  session %zu bytes, pool %.0f a stream\n", streams.sessions[0].memory_bytes(),
        static_cast<double>(streams.pool.memory_bytes()) / static_cast<double>(options.streams));
    std::fflush(stdout);
  }
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, ',');) words.push_back(word);
  return words;
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--repetitions") {
      options.repetitions = std::stoi(value);
    } else if (name == "--threads") {
      options.threads = std::stoi(value);
    } else if (name == "--what") {
      options.what = value;
    } else if (name == "--streams") {
      options.streams = std::stoll(value);
    } else if (name == "--pin") {
      options.pin = value == "1";
    } else if (name == "--formats") {
      options.formats = Split(value);
    } else if (name == "--hidden") {
      options.hidden = Split(value);
    } else {
      Die("sessions_bench: unknown option '" + name + "'");
    }
  }
  return options;
}

void Main(const Options& options) {
  std::printf("%s\n", CpuName().c_str());
  for (const std::string& hidden : options.hidden) {
    if (options.what == "pool") {
      TimePool(options, std::stoll(hidden));
    } else {
      TimeThreads(options, std::stoll(hidden));
    }
  }
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) {
  espalier::Main(espalier::ParseOptions(argc, argv));
  return 0;
}
