# Competitors that `espalier bench --problem` times if they are there; nothing else needs them.
#
# oneDNN 2.x: no find_package, since Debian's dnnl-config.cmake also asks for the headers of OpenCL.
find_path(ESPALIER_DNNL_INCLUDE oneapi/dnnl/dnnl.hpp)
find_library(ESPALIER_DNNL dnnl)
set(ESPALIER_DNNL_MAJOR 0)
if(ESPALIER_DNNL_INCLUDE AND ESPALIER_DNNL)
  file(STRINGS ${ESPALIER_DNNL_INCLUDE}/oneapi/dnnl/dnnl_version.h ESPALIER_DNNL_MAJOR
       REGEX "#define DNNL_VERSION_MAJOR")
  string(REGEX REPLACE ".* " "" ESPALIER_DNNL_MAJOR "${ESPALIER_DNNL_MAJOR}")
endif()
if(ESPALIER_DNNL_MAJOR EQUAL 2)
  target_compile_definitions(espalier_peers PRIVATE ESPALIER_HAVE_ONEDNN)
  target_include_directories(espalier_peers SYSTEM PRIVATE ${ESPALIER_DNNL_INCLUDE})
  target_link_libraries(espalier_peers PRIVATE ${ESPALIER_DNNL})
else()
  message(STATUS "oneDNN 2.x not found (Debian: libdnnl-dev): bench will not time it")
endif()

find_package(Eigen3 3.4 QUIET NO_MODULE)
if(Eigen3_FOUND)
  target_compile_definitions(espalier_peers PRIVATE ESPALIER_HAVE_EIGEN)
  target_link_libraries(espalier_peers PRIVATE Eigen3::Eigen)
  # Eigen vectorises for what the compiler is told, which is SSE2 otherwise.
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set_source_files_properties(${PROJECT_SOURCE_DIR}/src/peers/eigen_kernel.cc
                                PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma")
  endif()
else()
  message(STATUS "Eigen 3.4 not found (Debian: libeigen3-dev): bench will not time it")
endif()
