# rename_target.cmake - says in a PTX file that it is for another chip: cmake -D FILE=... -D FROM=8.0 -D TO=9.0a -P.
# 9.0a, and what it has, came with PTX 8.0.
file(READ ${FILE} text)
string(REPLACE "." "" from "${FROM}")
string(REPLACE "." "" to "${TO}")
if(NOT text MATCHES "\n\\.target sm_${from}\n")
  message(FATAL_ERROR "${FILE} is not for sm_${from}")
endif()
string(REPLACE "\n.target sm_${from}\n" "\n.target sm_${to}\n" text "${text}")
string(REGEX REPLACE "\n\\.version [0-9.]+\n" "\n.version 8.0\n" text "${text}")
file(WRITE ${FILE} "${text}")
