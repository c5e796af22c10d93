# Test helpers. Criterion counts a leak as a pass and UBSan as a pass, so every test also fails on a sanitizer report.
set(SOUK_SANITIZER_REPORT "ERROR: (Address|Leak|Thread)Sanitizer;WARNING: ThreadSanitizer;runtime error:")

# Criterion's assertion macros expand to conversions and shadowing that its users cannot mend. A library, because options of linked
# libraries come after those of the target itself.
add_library(souk_criterion_flags INTERFACE)
target_compile_options(souk_criterion_flags INTERFACE -Wno-conversion -Wno-sign-conversion -Wno-missing-prototypes)

# souk_unit_test(NAME SOURCES a.c ... [LIBS x ...] [LABELS l ...]): one Criterion program.
function(souk_unit_test name)
    cmake_parse_arguments(arg "" "" "SOURCES;LIBS;LABELS" ${ARGN})
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE souk_flags souk_criterion_flags ${arg_LIBS} pkg_criterion)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name} --jobs 2 --timeout 60)
    set_tests_properties(${name} PROPERTIES
        TIMEOUT 180 LABELS "unit;${arg_LABELS}" FAIL_REGULAR_EXPRESSION "${SOUK_SANITIZER_REPORT}")
endfunction()

# souk_thread_test(NAME SOURCES a.c ... [LIBS x ...] [LABELS l ...]): a plain main() program, which runs under TSan too.
# It prints what failed and returns non-zero.
function(souk_thread_test name)
    cmake_parse_arguments(arg "" "" "SOURCES;LIBS;LABELS" ${ARGN})
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE souk_flags ${arg_LIBS})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES
        TIMEOUT 180 LABELS "thread;${arg_LABELS}" FAIL_REGULAR_EXPRESSION "${SOUK_SANITIZER_REPORT}"
        ENVIRONMENT "TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp")
endfunction()

# souk_fuzzer(NAME SOURCES a.c ... [LIBS x ...] CORPUS dir): a libFuzzer target under the fuzz preset; in every other build
# the same entry point linked to a small driver that replays the committed corpus as a test.
function(souk_fuzzer name)
    cmake_parse_arguments(arg "" "CORPUS" "SOURCES;LIBS" ${ARGN})
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE souk_flags ${arg_LIBS})
    # The entry point has no prototype anywhere; a source's options come after the target's, and so win.
    set_source_files_properties(${arg_SOURCES} PROPERTIES COMPILE_OPTIONS -Wno-missing-prototypes)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    if(SOUK_FUZZ)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
        target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
        add_test(NAME ${name} COMMAND ${name} ${arg_CORPUS})
        set_tests_properties(${name} PROPERTIES
            TIMEOUT 120 LABELS "fuzz" FAIL_REGULAR_EXPRESSION "${SOUK_SANITIZER_REPORT}")
    endif()
endfunction()

# souk_pytest(NAME FOLDER folder [LABELS l ...]): pytest on a folder of tests/, with the programs of this build:
# SOUK_BUILD_DIR is where they are.
function(souk_pytest name)
    cmake_parse_arguments(arg "" "FOLDER" "LABELS" ${ARGN})
    add_test(NAME ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
        COMMAND ${SOUK_PYTHON} -m pytest -q -p no:cacheprovider ${arg_FOLDER})
    set_tests_properties(${name} PROPERTIES TIMEOUT 600 LABELS "${arg_LABELS}"
        ENVIRONMENT "TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp;SOUK_BUILD_DIR=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1;PYTHONPATH=${CMAKE_SOURCE_DIR}/tests")
endfunction()
