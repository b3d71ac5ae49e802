# The runtime product: libespalier.so (only espalier_* is exported), libespalier.a, espalier.h,
# runtime.hpp, a CMake package (targets espalier::runtime and espalier::runtime_static) and
# espalier.pc.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

file(STRINGS include/espalier/espalier.h version_line REGEX "^#define ESPALIER_VERSION ")
if(NOT version_line STREQUAL "#define ESPALIER_VERSION \"${PROJECT_VERSION}\"")
  message(FATAL_ERROR "include/espalier/espalier.h says '${version_line}', "
                      "CMakeLists.txt says ${PROJECT_VERSION}")
endif()

set(runtime_rooms base model formats kernels artifact runtime)

# The C ABI's object pulls from the rooms' archives what it needs, and no more.
add_library(espalier_shared SHARED $<TARGET_OBJECTS:espalier_runtime>)
target_link_libraries(espalier_shared PRIVATE espalier_artifact espalier_kernels Threads::Threads)
set_target_properties(espalier_shared PROPERTIES OUTPUT_NAME espalier EXPORT_NAME runtime
                      LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR}
                      LINK_DEPENDS ${PROJECT_SOURCE_DIR}/src/runtime/espalier.map)
target_link_options(espalier_shared PRIVATE
                    -Wl,--version-script=${PROJECT_SOURCE_DIR}/src/runtime/espalier.map
                    -Wl,--no-undefined)

add_library(espalier_static STATIC)
list(TRANSFORM runtime_rooms PREPEND espalier_)
foreach(objects IN LISTS runtime_rooms espalier_extra_kernels)
  target_sources(espalier_static PRIVATE $<TARGET_OBJECTS:${objects}>)
endforeach()
target_link_libraries(espalier_static INTERFACE hwy::hwy Threads::Threads)
set_target_properties(espalier_static PROPERTIES OUTPUT_NAME espalier EXPORT_NAME runtime_static
                      LINKER_LANGUAGE CXX)

foreach(target espalier_shared espalier_static)
  target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                 $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
add_library(espalier::runtime ALIAS espalier_shared)
add_library(espalier::runtime_static ALIAS espalier_static)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/espalier)
install(TARGETS espalier_shared EXPORT espalier_targets COMPONENT runtime)
install(TARGETS espalier_static EXPORT espalier_static_targets COMPONENT runtime)
install(DIRECTORY include/espalier DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT runtime)
foreach(export espalier_targets espalier_static_targets)
  install(EXPORT ${export} NAMESPACE espalier:: DESTINATION ${package_dir} COMPONENT runtime)
endforeach()
configure_package_config_file(cmake/espalierConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/package/espalierConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/espalierConfigVersion.cmake
                                 COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/espalierConfig.cmake
              ${PROJECT_BINARY_DIR}/package/espalierConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT runtime)
# Relative, so that the installed tree can be moved.
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/espalier.pc.in ${PROJECT_BINARY_DIR}/package/espalier.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/espalier.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT runtime)
