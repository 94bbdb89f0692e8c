# CE_PYTHON_INCLUDE: the folder of Python.h, asked of an interpreter: the one that pip builds for (scikit-build-core
# names it), or the first of PATH, or the distribution's, whichever has its headers. The extension is in Python's stable
# interface, so the headers of any Python from 3.9 on will do. (CMake's own search gives up where PATH has wrappers of
# python3-config for interpreters that are not in use.)
set(CE_PYTHON_INCLUDE "" CACHE PATH "The folder of Python.h, of a Python from 3.9 on")
if(NOT CE_PYTHON_INCLUDE AND NOT CMAKE_CROSSCOMPILING)
  foreach(candidate ${Python3_EXECUTABLE} ${Python_EXECUTABLE} python3 /usr/bin/python3)
    execute_process(COMMAND ${candidate} -c "import sys, sysconfig
print(sysconfig.get_path('include') if sys.version_info >= (3, 9) else '')"
      OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(folder AND EXISTS ${folder}/Python.h)
      set(CE_PYTHON_INCLUDE ${folder} CACHE PATH "The folder of Python.h, of a Python from 3.9 on" FORCE)
      break()
    endif()
  endforeach()
endif()
