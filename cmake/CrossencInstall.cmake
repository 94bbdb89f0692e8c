# What `cmake --install` puts where: headers, libraries, the model that comes with crossenc, the licence, and the
# files by which CMake and pkg-config find them. Nothing installed needs an absolute path: a prefix may be moved.
include(CMakePackageConfigHelpers)

set(CE_MODEL_DIR ${CMAKE_INSTALL_DATADIR}/crossenc/models/crossenc-small-en)
set(CE_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/crossenc)
set(CE_LICENSE_DIR ${CMAKE_INSTALL_DATADIR}/licenses/crossenc)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/crossenc DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/models/crossenc-small-en/ DESTINATION ${CE_MODEL_DIR})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CE_LICENSE_DIR})

# Two sets, as the static library's needs libraries that the shared one hides.
install(TARGETS crossenc_static EXPORT crossencStatic ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT crossencStatic FILE crossencStaticTargets.cmake NAMESPACE crossenc:: DESTINATION ${CE_CMAKE_DIR})
if(CE_BUILD_SHARED)
  install(TARGETS crossenc EXPORT crossencShared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT crossencShared FILE crossencSharedTargets.cmake NAMESPACE crossenc:: DESTINATION ${CE_CMAKE_DIR})
endif()

configure_package_config_file(cmake/crossencConfig.cmake.in ${PROJECT_BINARY_DIR}/crossencConfig.cmake
  INSTALL_DESTINATION ${CE_CMAKE_DIR} PATH_VARS CE_MODEL_DIR NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may break what the one before it promised.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/crossencConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/crossencConfig.cmake ${PROJECT_BINARY_DIR}/crossencConfigVersion.cmake
        DESTINATION ${CE_CMAKE_DIR})

# variable receives "${prefix}/folder", or folder itself if it is absolute.
function(ce_pc_path variable folder)
  if(IS_ABSOLUTE "${folder}")
    set(${variable} "${folder}" PARENT_SCOPE)
  else()
    set(${variable} "\${prefix}/${folder}" PARENT_SCOPE)
  endif()
endfunction()

ce_pc_path(CE_PC_LIBDIR ${CMAKE_INSTALL_LIBDIR})
ce_pc_path(CE_PC_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
ce_pc_path(CE_PC_MODELDIR ${CE_MODEL_DIR})
file(RELATIVE_PATH CE_PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" CE_PC_TO_PREFIX "${CE_PC_TO_PREFIX}")
configure_file(cmake/crossenc.pc.in ${PROJECT_BINARY_DIR}/crossenc.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/crossenc.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
