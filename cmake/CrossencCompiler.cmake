# The flags that every target gets: crossenc_flags carries them and is never installed.
add_library(crossenc_flags INTERFACE)
target_compile_definitions(crossenc_flags INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
target_compile_options(crossenc_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wcast-qual -Wwrite-strings
  -Wpointer-arith -Wundef -Wformat=2 -Wconversion -Wno-sign-conversion
  # No value may change with the compiler: no contraction but where the code says so, no fast-math.
  -ffp-contract=off -fno-math-errno)
if(CE_WERROR)
  target_compile_options(crossenc_flags INTERFACE -Werror)
endif()
if(CE_BUILD_FUZZ AND NOT CE_SANITIZE)
  set(CE_SANITIZE "fuzzer-no-link,address,undefined")
endif()
if(CE_SANITIZE)
  target_compile_options(crossenc_flags INTERFACE -fsanitize=${CE_SANITIZE} -fno-omit-frame-pointer -g)
  target_link_options(crossenc_flags INTERFACE -fsanitize=${CE_SANITIZE})
  if(CE_SANITIZE MATCHES "undefined")
    target_compile_options(crossenc_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
if(CE_COVERAGE)
  target_compile_options(crossenc_flags INTERFACE --coverage -O0 -g)
  target_link_options(crossenc_flags INTERFACE --coverage)
endif()
