# espalier_room(<name> [DEPS <rooms>] [LIBS <third-party targets>] [TORCH])
#
# One static library espalier_<name> from src/<name>/**/*.cc, and one test program <name>_test from
# src/<name>/**/*_test.cc. DEPS are the rooms it may include (tools/check_layers.py holds #include
# lines against the table in docs/architecture.md).
function(espalier_room name)
  cmake_parse_arguments(ROOM "" "" "DEPS;LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")

  set(deps ${ROOM_DEPS})
  list(TRANSFORM deps PREPEND espalier_)
  if(sources)
    add_library(espalier_${name} STATIC ${sources})
    target_link_libraries(espalier_${name} PUBLIC ${deps} ${ROOM_LIBS})
    target_include_directories(espalier_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src
                                                       ${PROJECT_SOURCE_DIR}/include)
    espalier_compile_options(espalier_${name})
  else()
    add_library(espalier_${name} INTERFACE)
    target_link_libraries(espalier_${name} INTERFACE ${deps} ${ROOM_LIBS})
    target_include_directories(espalier_${name} INTERFACE ${PROJECT_SOURCE_DIR}/src
                                                          ${PROJECT_SOURCE_DIR}/include)
  endif()
  if(tests AND ESPALIER_BUILD_TESTS)
    espalier_test(${name}_test SOURCES ${tests} LIBS espalier_${name})
  endif()
endfunction()

# espalier_test(<name> SOURCES <files> LIBS <targets> [LABELS <labels>] [DISCOVER])
# A GoogleTest program and its CTest entry. Sources may include "testing/..." helpers of src/testing.
function(espalier_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LIBS} espalier_testing GTest::gmock GTest::gtest_main)
  espalier_compile_options(${name})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "unit;${TEST_LABELS}" TIMEOUT 600)
endfunction()

function(espalier_compile_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow)
  if(ESPALIER_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
