// Importer: turns one onnx::GraphProto into a Graph. It walks the nodes in order and keeps, for
// every ONNX value, what that value means to a Graph; operators that only rearrange (Squeeze,
// Transpose, Reshape, Pad, our MaskEmpty, ...) change the meaning and make no node.
#ifndef ESPALIER_EXCHANGE_ONNX_IMPORTER_H_
#define ESPALIER_EXCHANGE_ONNX_IMPORTER_H_

#include <onnx/onnx_pb.h>

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "exchange/onnx_node.h"
#include "model/graph.h"

namespace espalier {

// What keys of metadata that are ours begin with.
inline constexpr char kMetadata[] = "espalier.";

class OnnxImporter {
 public:
  explicit OnnxImporter(const onnx::ModelProto& model) : model_(model), in_(model.graph()) {}

  Result<Graph> Import();

 private:
  enum class Role {
    kInput,        // a graph input that no node has read yet
    kValue,        // the Graph value `value`
    kConstant,     // constants_[value]
    kZeros,        // zeros of any shape
    kShape,        // computed from shapes alone; its numbers are not needed
    kLengths,      // the lengths of the sequences
    kFullLengths,  // the same, if all sequences are T steps long
    kState,        // a start or end state
    kRecurrent,    // Y [T, D, B, H] of graph_.nodes[node]
    kTransposed,   // the same as [T, B, D, H]
    kEndH,         // Y_h [D, B, H] of graph_.nodes[node]
    kEndC,         // Y_c of it
    kStack,        // stacks_[value]: Y_h, or Y_c, of several layers one after the other
    kStart,        // the vector `value` [B, D*S] as [D, B, S]: what a layer starts from
    kView,         // a sequence with its axes in another order, or steps in front of it
  };
  struct Meaning {
    Role role = Role::kValue;
    std::string value;  // of a kView: "" if graph_.nodes[node] makes it
    size_t node = 0;
    std::string axes = "TBF";  // of a kView: their order
    int64_t front = 0;         // of a kView: steps before the first, zeros or a state
  };

  // Whole-file parts.
  Status CheckModel() const;
  Status ReadInitializers();
  Status ReadInputs();
  Status ReadOutputs();
  Status ImportNode(const OnnxNode& node);
  Status ImportOwnFunction(const OnnxNode& node);
  // The constant that the node makes if all its inputs are integer constants (onnx_fold.h).
  std::optional<OnnxConstant> Folded(const OnnxNode& node) const;

  // One or more operators each. They check attributes and inputs themselves.
  Status ImportRecurrent(const OnnxNode& node);
  Status ImportGemm(const OnnxNode& node);
  Status ImportMatMul(const OnnxNode& node);
  Status ImportAdd(const OnnxNode& node);
  Status ImportGather(const OnnxNode& node);
  Status ImportDropout(const OnnxNode& node);
  Status ImportActivation(const OnnxNode& node, Op op);
  Status ImportSoftmax(const OnnxNode& node);
  Status ImportConcat(const OnnxNode& node);
  Status ImportReduceMean(const OnnxNode& node);
  Status ImportConstant(const OnnxNode& node);
  Status ImportConstantOfShape(const OnnxNode& node);
  Status ImportSqueeze(const OnnxNode& node);
  Status ImportTranspose(const OnnxNode& node);
  Status TransposeConstant(const OnnxNode& node, const std::string& constant);
  Status ImportReshape(const OnnxNode& node);
  Status ImportIdentity(const OnnxNode& node);
  Status ImportPad(const OnnxNode& node);
  Status ImportConv(const OnnxNode& node);
  Status ImportLayerNorm(const OnnxNode& node);
  Status ImportMul(const OnnxNode& node);
  Status ImportSlice(const OnnxNode& node);
  Status ImportSplit(const OnnxNode& node);
  Status ImportUnsqueeze(const OnnxNode& node);
  Status ImportShape(const OnnxNode& node);
  Status ImportOnShapes(const OnnxNode& node);  // operators that are understood on shapes only

  // Our functions of this name in onnx_functions.h.
  Status ImportScan(const OnnxNode& node);
  Status ImportSplitDirections(const OnnxNode& node);
  Status ImportJoinDirections(const OnnxNode& node);
  Status ImportEndState(const OnnxNode& node);

  // Parts of ImportRecurrent.
  Result<bool> HasPeepholes(const OnnxNode& node, const std::string& name) const;
  Status ReadCell(const OnnxNode& node, Node* out) const;
  Status ReadRecurrentWeights(const OnnxNode& node, Node* out, TensorStore* weights) const;

  // Values.
  Status Define(const OnnxNode& node, const std::string& name, Meaning meaning);
  Result<Meaning> Find(const OnnxNode& node, int index) const;
  // The Graph value of an input; a graph input becomes data by being read as such.
  Result<std::string> Data(const OnnxNode& node, int index);
  Result<std::string> InputData(const OnnxNode& node, const std::string& name,
                                const std::string& axes);
  // Input 0 as a kView; a graph input has these axes.
  Result<Meaning> View(const OnnxNode& node, const std::string& input_axes);
  std::string ViewedValue(const Meaning& view, const std::string& wish);
  // The sequence that input 0 is if this is its time axis.
  Result<std::string> SequenceAlong(const OnnxNode& node, int64_t axis);
  Status StartState(const OnnxNode& node, int index);
  // The inputs from `first` on, h and, if there are two, c, become made->inputs if they are values
  // of the graph.
  Status ReadStart(const OnnxNode& node, int first, int count, Node* made);
  // Records that the node looks along time with these lengths; "" = all sequences are full.
  Status LooksAlongTime(const OnnxNode& node, int lengths_index);
  Result<const OnnxConstant*> Constant(const OnnxNode& node, int index) const;
  // Errors: kUnsupported unless it is a constant f32 matrix.
  Result<const OnnxConstant*> Matrix(const OnnxNode& node, int index) const;
  // A bias of `size` elements from a constant of that many, or of one.
  Result<Tensor> Bias(const OnnxNode& node, int index, int64_t size) const;
  // The integers of input `index`, or of attribute `name` (older operator sets).
  Result<std::vector<int64_t>> IntsOf(const OnnxNode& node, int index, const char* name) const;

  // The Graph.
  std::string NodeName(const OnnxNode& node, const std::string& kind);
  std::string FreshNodeName(const std::string& kind);
  std::string FreshValue(const std::string& wish);
  // Infers the output's type and appends the node. Its weights are in `weights`.
  Status Append(const OnnxNode& node, Node made, TensorStore weights);
  // Append, and defines the ONNX value of made.output.
  Status AppendAndDefine(const OnnxNode& node, Node made, TensorStore weights);
  // Append of a Slice whose output is the ONNX value `output`.
  Status AppendSlice(const OnnxNode& node, const std::string& data, int64_t first, int64_t count,
                     const std::string& name, const std::string& output);
  // Append of an operator on each element by itself: a view of its input makes a view.
  Status AppendElementwise(const OnnxNode& node, Node made);
  // Append, and defines the output as that node's, to be named by who looks at it as [T, B, F].
  Status AppendView(const OnnxNode& node, Node made, TensorStore weights, Meaning view);
  // The value of graph_.nodes[index]; the first wish renames it if it has no name yet.
  std::string NameOutput(size_t index, const std::string& wish);
  const ValueType& TypeOf(const std::string& value) const { return types_.at(value); }
  // Y_c of graph_.nodes[index] as a value [B, D*H], `wish` if it has no name yet.
  std::string NameEndC(size_t index, const std::string& wish);
  // Y_h or Y_c [1, B, H] as the value [B, H].
  Status ImportEndAsVector(const OnnxNode& node, const Meaning& end);
  // A Concat of Y_h, or of Y_c, over axis 0.
  Status ImportStack(const OnnxNode& node);
  // The part of a stack that is these rows, [first, end), negative ones counted from the end.
  Result<Meaning> PartOfStack(const OnnxNode& node, const Meaning& stack, int64_t first,
                              int64_t end) const;
  // Data times a constant matrix, [O, I] if has_rows_out, else [I, O]; bias_input -1 = no bias.
  Status AppendLinear(const OnnxNode& node, const std::string& data, bool has_rows_out,
                      int bias_input);
  // The Embedding whose table the constant of input 1 is, as [O, I] (see AppendLinear); "": none.
  std::string TiedTo(const OnnxNode& node, bool has_rows_out) const;
  // Y_h [1, B, H] of a forward layer, as a vector: its last step.
  Status LastStepOfEnd(const OnnxNode& node, const Meaning& end);
  Status MakeLastStep(const OnnxNode& node, const std::string& sequence);
  // Errors: kBadFormat for metadata of ours that nothing has asked for: a rule of no layer, or one
  // that we do not know, would be lost without a word.
  Status CheckMetadata() const;
  // nullptr if there is none.
  const std::string* MetadataText(const std::string& key) const;
  Result<double> Metadata(const std::string& key, double fallback) const;
  Result<std::vector<float>> MetadataList(const std::string& key) const;
  // A whole number in [least, most]; `least` if there is none. Errors: kBadFormat.
  Result<int64_t> MetadataCount(const std::string& key, int64_t least, int64_t most) const;
  // Of so many rows, from MetadataList("<rule>.<name>"). Errors: kBadFormat.
  Result<Tensor> MetadataMatrix(const std::string& rule, const std::string& name,
                                int64_t rows) const;
  Status ReadBanks(Node* made, TensorStore* weights) const;
  Status ReadRowRules(Node* made, TensorStore* weights) const;  // idle and predicted
  // Dropout and dynamic pruning of a recurrent node; adds the weights of what skips, has banks or
  // predicts.
  Status ReadRules(Node* made, TensorStore* weights) const;

  const onnx::ModelProto& model_;
  const onnx::GraphProto& in_;
  Graph graph_;
  std::map<std::string, Meaning> meanings_;             // by ONNX value
  std::map<std::string, OnnxConstant> constants_;       // by ONNX value
  std::map<std::string, std::vector<Meaning>> stacks_;  // by ONNX value
  std::map<std::string, ValueType> types_;              // by Graph value
  std::map<std::string, ValueType> input_types_;        // of graph inputs that can be data
  std::set<std::string> data_inputs_, other_inputs_;    // how graph inputs were read
  std::map<std::string, std::string> input_axes_;       // of graph inputs that are sequences
  std::set<std::string> names_;                         // of all ONNX values
  std::set<std::string> node_names_;
  std::map<std::string, int> uses_;                // of an ONNX value, by nodes and outputs
  std::map<std::string, std::string> tables_;      // constant -> the Embedding that takes its rows
  std::map<std::string, std::string> transposed_;  // ONNX value -> the constant that it transposes
  std::map<std::string, size_t> products_;         // MatMul's ONNX value -> its Gemm node
  std::set<size_t> unnamed_;                       // nodes whose value no ONNX value names yet
  mutable std::set<std::string> asked_;            // keys of metadata, without "espalier."
  std::optional<bool> has_lengths_;                // what the nodes seen so far say
};

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_IMPORTER_H_
