# espalier_onnx_pb: the system's ONNX protobuf classes. Never generate onnx.pb.cc ourselves: libtorch
# links libonnx_proto too, and registering onnx.proto twice ends the program at start.
find_package(Protobuf 3.21 REQUIRED)
find_library(ESPALIER_ONNX_PROTO onnx_proto REQUIRED)
add_library(espalier_onnx_pb INTERFACE)
target_compile_definitions(espalier_onnx_pb INTERFACE ONNX_ML=1 ONNX_NAMESPACE=onnx)
target_link_libraries(espalier_onnx_pb INTERFACE ${ESPALIER_ONNX_PROTO} protobuf::libprotobuf)
