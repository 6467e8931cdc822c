# `cmake --install`: the binary, the headers that a plug-in is built against, and a package that `find_package(sluice)` finds: target sluice::model.
include(CMakePackageConfigHelpers)
install(FILES sluice/abi.h sluice/model.h DESTINATION include/sluice)
install(TARGETS sluice_model EXPORT sluice-targets)
install(EXPORT sluice-targets NAMESPACE sluice:: FILE sluice-targets.cmake DESTINATION lib/cmake/sluice)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/sluice-config-version.cmake VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
file(WRITE ${CMAKE_BINARY_DIR}/package/sluice-config.cmake "include(\"\${CMAKE_CURRENT_LIST_DIR}/sluice-targets.cmake\")\n")
install(FILES ${CMAKE_BINARY_DIR}/package/sluice-config.cmake ${CMAKE_BINARY_DIR}/package/sluice-config-version.cmake DESTINATION lib/cmake/sluice)
