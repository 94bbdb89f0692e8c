# How tests are declared. Every test is a ctest test that prints its cases in cmocka's or pytest's usual form, which
# is what tools/test_summary.py counts; a test of any other kind counts as one case.
#
# Labels: unit (the default), golden, cli, package, python, checks, oom, cuda, threads, slow. One test may have several.
# CE_TEST_WRAPPER is a command in front of each compiled test, such as valgrind with its options.
set(CE_TEST_WRAPPER "" CACHE STRING "Command and arguments to run each compiled test under, parted by semicolons")
set(CE_SHARED "${PROJECT_SOURCE_DIR}/../shared" CACHE PATH "Real models and data; tests that need them skip without")

# The interpreter that has pytest: the distribution's, where another one comes first in PATH.
set(CE_PYTHON "" CACHE FILEPATH "A Python 3 that can import pytest")
if(NOT CE_PYTHON)
  foreach(candidate python3 /usr/bin/python3)
    execute_process(COMMAND ${candidate} -c "import pytest" RESULT_VARIABLE missing OUTPUT_QUIET ERROR_QUIET)
    if("${missing}" STREQUAL "0")
      set(CE_PYTHON ${candidate} CACHE FILEPATH "A Python 3 that can import pytest" FORCE)
      break()
    endif()
  endforeach()
endif()
if(NOT CE_PYTHON)
  message(WARNING "No Python 3 with pytest was found: the tests of the command and of the package are left out. "
                  "Install python3-pytest, or set CE_PYTHON.")
endif()

function(ce_test_properties name timeout labels)
  if(NOT timeout)
    set(timeout 600)
  endif()
  if(NOT labels)
    set(labels unit)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout} LABELS "${labels}" SKIP_RETURN_CODE 77)
  # An OpenCL driver takes a quarter of a second to start: tests do without, but for those of ce_opencl_test.
  set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "CROSSENC_OPENCL_LIBRARY=")
  if(CMAKE_CROSSCOMPILING)
    set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "CE_EMULATED=1")
  endif()
endfunction()

# ce_test_needs(name program): the target tests_of_<label>, for each label of the test, builds the program too.
function(ce_test_needs name program)
  get_property(labels TEST ${name} PROPERTY LABELS)
  foreach(label IN LISTS labels)
    if(NOT TARGET tests_of_${label})
      add_custom_target(tests_of_${label})
    endif()
    add_dependencies(tests_of_${label} ${program})
  endforeach()
endfunction()

# ce_test(name [TIMEOUT seconds] [LABELS label...] sources...): a program of the cmocka cases in sources, the program
# test_<name>, run by ctest as <name>. Test data is found through CE_TEST_DATA (tests/data) and CE_SHARED.
function(ce_test name)
  cmake_parse_arguments(PARSE_ARGV 1 TEST "" "TIMEOUT" "LABELS;SOURCES")
  add_executable(test_${name} ${TEST_UNPARSED_ARGUMENTS} ${TEST_SOURCES})
  target_link_libraries(test_${name} PRIVATE ce_test_support)
  add_test(NAME ${name} COMMAND ${CE_TEST_WRAPPER} $<TARGET_FILE:test_${name}>)
  ce_test_properties(${name} "${TEST_TIMEOUT}" "${TEST_LABELS}")
  ce_test_needs(${name} test_${name})
endfunction()

# ce_opencl_test(name [DEFINES definition...] SOURCES sources...): a program that uses the machine's OpenCL devices. Its
# label is opencl alone, so that the stages of sanitizers and valgrind leave it out. The kernels are kept in
# build/cache, where the first of these tests, which all others wait for, builds them.
function(ce_opencl_test name)
  cmake_parse_arguments(PARSE_ARGV 1 TEST "" "" "DEFINES;SOURCES")
  ce_test(${name} LABELS opencl SOURCES ${TEST_SOURCES})
  target_compile_definitions(test_${name} PRIVATE ${TEST_DEFINES})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "XDG_CACHE_HOME=${PROJECT_SOURCE_DIR}/build/cache"
                       FIXTURES_REQUIRED opencl_kernels)
endfunction()

# ce_pytest(name file [TIMEOUT seconds] [LABELS label...]): a file of pytest cases. They find what they need in the
# environment: CE_SOURCE and CE_BUILD (folders), CE_TEST_DATA, CE_SHARED, CE_COMMAND (the crossenc that was built),
# CE_CC (the C compiler), CE_SANITIZE.
function(ce_pytest name file)
  cmake_parse_arguments(PARSE_ARGV 2 TEST "" "TIMEOUT" "LABELS")
  if(NOT CE_PYTHON)
    return()
  endif()
  add_test(NAME ${name} COMMAND ${CE_PYTHON} -B -m pytest -v -rsfE -p no:cacheprovider --color=no ${file}
           WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  ce_test_properties(${name} "${TEST_TIMEOUT}" "${TEST_LABELS}")
  set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "CE_SOURCE=${PROJECT_SOURCE_DIR};\
CE_BUILD=${PROJECT_BINARY_DIR};\
CE_TEST_DATA=${PROJECT_SOURCE_DIR}/tests/data;CE_SHARED=${CE_SHARED};CE_COMMAND=${PROJECT_BINARY_DIR}/cli/crossenc;\
CE_CC=${CMAKE_C_COMPILER};CE_SANITIZE=${CE_SANITIZE}")
endfunction()
