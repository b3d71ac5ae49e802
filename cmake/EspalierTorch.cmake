# espalier_torch: libtorch. A file that includes it costs 10 s to compile, so few do, all through
# train/torch_executor.h; the rest of the room (and every other) sees no torch type.
find_package(Torch 1.13 REQUIRED)
add_library(espalier_torch INTERFACE)
target_include_directories(espalier_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_link_libraries(espalier_torch INTERFACE ${TORCH_LIBRARIES})

# torch_executor.h is precompiled once for the files of src/train that include it; the others skip
# it. Deferred: the target is made after this file is read.
function(espalier_precompile_torch)
  get_target_property(sources espalier_train SOURCES)
  foreach(source IN LISTS sources)
    file(STRINGS ${source} uses_torch REGEX "#include \"train/torch_executor.h\"")
    if(NOT uses_torch)
      set_source_files_properties(${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endforeach()
  target_precompile_headers(espalier_train PRIVATE ${PROJECT_SOURCE_DIR}/src/train/torch_executor.h)
endfunction()
cmake_language(DEFER CALL espalier_precompile_torch)
# errno is not read after sqrt: without it the optimiser's loop is vectorised.
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/train/optimizer.cc
                            PROPERTIES COMPILE_OPTIONS -fno-math-errno)
