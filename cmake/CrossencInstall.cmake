# What `cmake --install` puts where.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/crossenc DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
