# espalier_check_list(<list file> <macro> <folder> [EXCEPT <file names>])
#
# Holds a list of extensions (formats.inc, kernels.inc, criteria.inc, ...) against its folder at
# configure time: each `<macro>(<name>, ...)` line needs <folder>/<name>.cc (or .inl), and each .cc or
# .inl of the folder that is neither listed, nor a _test.cc, nor in EXCEPT stops the configure.
# Several lines may name one file. Paths are relative to the source folder.
function(espalier_check_list list macro folder)
  cmake_parse_arguments(LIST "" "" "EXCEPT" ${ARGN})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${list})

  file(STRINGS ${PROJECT_SOURCE_DIR}/${list} lines REGEX "^${macro}\\(")
  set(names "")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^${macro}\\(([A-Za-z0-9_]+).*" "\\1" name "${line}")
    list(APPEND names ${name})
    if(NOT EXISTS ${PROJECT_SOURCE_DIR}/${folder}/${name}.cc AND
       NOT EXISTS ${PROJECT_SOURCE_DIR}/${folder}/${name}.inl)
      message(FATAL_ERROR "${list} lists '${name}', but ${folder}/${name}.cc is not there.")
    endif()
  endforeach()

  file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/${folder}
       ${PROJECT_SOURCE_DIR}/${folder}/*.cc ${PROJECT_SOURCE_DIR}/${folder}/*.inl)
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  foreach(source IN LISTS sources)
    string(REGEX REPLACE "\\.(cc|inl)$" "" name ${source})
    if(NOT source IN_LIST LIST_EXCEPT AND NOT name IN_LIST names)
      message(FATAL_ERROR "${folder}/${source} is not in the list: add ${macro}(${name}, ...) to "
                          "${list}, or name it in the EXCEPT of espalier_check_list.")
    endif()
  endforeach()
endfunction()
