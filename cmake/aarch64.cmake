# Cross compiles the static library for 64-bit ARM on Debian, to see that no file takes x86 for granted. Jansson's
# headers are the host's, which are the same for every 64-bit machine; nothing is linked.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

# The host's folder of headers holds its C library's too, so the few that are needed get a folder of their own.
set(CE_HOST_HEADERS ${CMAKE_BINARY_DIR}/host-headers)
file(MAKE_DIRECTORY ${CE_HOST_HEADERS})
foreach(header jansson.h jansson_config.h)
  file(GLOB found /usr/include/${header} /usr/include/*-linux-gnu/${header})
  list(GET found 0 found)
  file(CREATE_LINK ${found} ${CE_HOST_HEADERS}/${header} SYMBOLIC)
endforeach()
set(CMAKE_C_FLAGS_INIT "-isystem ${CE_HOST_HEADERS}")
