# Cross compiles for 64-bit ARM on Debian. Jansson and cmocka come from build/aarch64-sysroot, where tools/sysroot.sh
# unpacks them; the C library is the cross compiler's own. Without that folder the static library alone can be built,
# with the host's headers of Jansson, which are the same for every 64-bit machine.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

set(CE_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-sysroot)
get_filename_component(CE_SYSROOT ${CE_SYSROOT} ABSOLUTE)
if(EXISTS ${CE_SYSROOT}/complete)
  set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CE_SYSROOT})
  set(ENV{PKG_CONFIG_LIBDIR} ${CE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)
else()
  # The host's folder of headers holds its C library's too, so the few that are needed get a folder of their own.
  set(CE_HOST_HEADERS ${CMAKE_BINARY_DIR}/host-headers)
  file(MAKE_DIRECTORY ${CE_HOST_HEADERS})
  foreach(header jansson.h jansson_config.h)
    file(GLOB found /usr/include/${header} /usr/include/*-linux-gnu/${header})
    list(GET found 0 found)
    file(CREATE_LINK ${found} ${CE_HOST_HEADERS}/${header} SYMBOLIC)
  endforeach()
  set(CMAKE_C_FLAGS_INIT "-isystem ${CE_HOST_HEADERS}")
endif()
