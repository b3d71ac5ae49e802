# espalier_torch: libtorch with one precompiled header, shared by the few files that need it.
find_package(Torch 1.13 REQUIRED)
add_library(espalier_torch INTERFACE)
target_include_directories(espalier_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_link_libraries(espalier_torch INTERFACE ${TORCH_LIBRARIES})
