# Where src/hub/default_model.c looks for the model that comes with crossenc. The build folder gets the layout of an
# installed prefix (share/crossenc/models), so that programs find the model there by the same rule.
set(CE_MODEL_RELATIVE share/crossenc/models/crossenc-small-en)
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_DATADIR}")
  set(CE_MODEL_RELATIVE ${CMAKE_INSTALL_DATADIR}/crossenc/models/crossenc-small-en)
endif()
get_filename_component(CE_MODEL_PARENT ${PROJECT_BINARY_DIR}/${CE_MODEL_RELATIVE} DIRECTORY)
file(MAKE_DIRECTORY ${CE_MODEL_PARENT})
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/models/crossenc-small-en ${PROJECT_BINARY_DIR}/${CE_MODEL_RELATIVE} SYMBOLIC)

set_source_files_properties(${PROJECT_SOURCE_DIR}/src/hub/default_model.c TARGET_DIRECTORY crossenc_objects
  PROPERTIES COMPILE_DEFINITIONS "CE_DEFAULT_MODEL_RELATIVE=\"${CE_MODEL_RELATIVE}\";\
CE_DEFAULT_MODEL_INSTALLED=\"${CMAKE_INSTALL_FULL_DATADIR}/crossenc/models/crossenc-small-en\"")
