# CE_WITH_OPENCL: is the opencl device built? It needs Khronos' headers, and no library: that is found at run time.
set(CE_WITH_OPENCL OFF)
if(CE_BUILD_OPENCL)
  find_path(CE_OPENCL_INCLUDE CL/cl_icd.h DOC "The folder of Khronos' OpenCL headers (CL/cl.h)")
  if(CE_OPENCL_INCLUDE)
    set(CE_WITH_OPENCL ON)
  else()
    message(STATUS "No OpenCL headers (Debian: opencl-c-headers): crossenc is built without the opencl device")
  endif()
endif()

# Writes output, a C file with the texts of folder/NAME.cl for each NAME behind, in their order, as the table
# cei_opencl_sources. Arrays of numbers, since a string literal of C may be shorter than such a file.
function(ce_embed_kernels output folder)
  set(table "")
  set(arrays "")
  foreach(name ${ARGN})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/${name}.cl)
    file(READ ${folder}/${name}.cl bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(APPEND arrays "static const char ${name}_text[] = {${bytes}0};\n")
    string(APPEND table "    {\"${name}\", ${name}_text, sizeof ${name}_text - 1},\n")
  endforeach()
  set(content "/* kernels.c - the texts of kernels/, written by cmake/CrossencOpenCL.cmake. */
#include \"device/opencl/opencl.h\"

${arrays}
const cei_opencl_source cei_opencl_sources[] = {
${table}    {NULL, NULL, 0},
};
")
  file(GENERATE OUTPUT ${output} CONTENT "${content}") # left alone where nothing changed
endfunction()
