# Warnings and hardening for all C of this project. Third-party headers are SYSTEM includes (cmake/packages.cmake).
add_library(souk_flags INTERFACE)
target_compile_definitions(souk_flags INTERFACE _GNU_SOURCE)
target_compile_options(souk_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes
    -Wcast-qual -Wformat=2 -Wundef -Wvla -Wnull-dereference -Wdouble-promotion -Werror
    -fno-omit-frame-pointer -fstack-protector-strong)
# gcc warns of null dereferences that cannot happen once it inlines across sanitizer checks.
if(SOUK_SANITIZE)
    target_compile_options(souk_flags INTERFACE -Wno-null-dereference)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    target_compile_options(souk_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    target_link_options(souk_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
if(SOUK_SANITIZE)
    target_compile_options(souk_flags INTERFACE -fsanitize=${SOUK_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(souk_flags INTERFACE -fsanitize=${SOUK_SANITIZE})
endif()
if(SOUK_COVERAGE)
    target_compile_options(souk_flags INTERFACE --coverage)
    target_link_options(souk_flags INTERFACE --coverage)
endif()
if(SOUK_FUZZ)
    target_compile_options(souk_flags INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(souk_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_program(SOUK_CCACHE ccache)
if(SOUK_CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER ${SOUK_CCACHE})
endif()
