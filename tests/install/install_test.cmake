# See CMakeLists.txt. Fails at the first command that does.
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
set(prefix ${WORK_DIR}/prefix)
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${prefix} --component runtime)
# Moved, so that a path of this machine left in a file shows.
set(moved ${WORK_DIR}/moved)
file(RENAME ${prefix} ${moved})

if(SANITIZE)
  set(flags -fsanitize=${SANITIZE})
endif()
run(${CMAKE_COMMAND} -S ${CONSUMER_DIR} -B ${WORK_DIR}/build -G ${GENERATOR}
    -DCMAKE_PREFIX_PATH=${moved} -DCMAKE_C_COMPILER=${C_COMPILER}
    -DCMAKE_CXX_COMPILER=${CXX_COMPILER} -DCMAKE_C_FLAGS=${flags} -DCMAKE_CXX_FLAGS=${flags})
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
foreach(program c_consumer cxx_consumer static_consumer)
  run(${WORK_DIR}/build/${program} ${MODEL})
endforeach()

find_program(pkg_config pkg-config)
if(NOT pkg_config)
  message(STATUS "no pkg-config here: espalier.pc is not tested")
  return()
endif()
set(ENV{PKG_CONFIG_PATH} ${moved}/${LIBDIR}/pkgconfig)
execute_process(COMMAND ${pkg_config} --cflags --libs espalier OUTPUT_VARIABLE pc_flags
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(pc_flags UNIX_COMMAND "${pc_flags}")
run(${C_COMPILER} -std=c99 ${flags} ${CONSUMER_DIR}/main.c -o ${WORK_DIR}/pc_consumer ${pc_flags})
run(${CMAKE_COMMAND} -E env LD_LIBRARY_PATH=${moved}/${LIBDIR} ${WORK_DIR}/pc_consumer ${MODEL})
