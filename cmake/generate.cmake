# Everything that comes from schemas/: one target (souk_generated) that all C depends on, so that a parallel make runs the
# generator once. Files are written only when they change.
if(NOT SOUK_PYTHON)
    if(DEFINED ENV{SOUK_PYTHON})
        set(SOUK_PYTHON $ENV{SOUK_PYTHON})
    elseif(EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
        set(SOUK_PYTHON ${CMAKE_SOURCE_DIR}/.venv/bin/python)
    else()
        find_program(SOUK_PYTHON python3 REQUIRED)
    endif()
endif()
set(SOUK_PYTHON ${SOUK_PYTHON} CACHE FILEPATH "Python 3 with PyYAML, for the generator")

set(SOUK_GEN_DIR ${CMAKE_BINARY_DIR}/gen)
set(SOUK_GEN ${CMAKE_COMMAND} -E env PYTHONPATH=${CMAKE_SOURCE_DIR}/schemas PYTHONDONTWRITEBYTECODE=1
    ${SOUK_PYTHON} -m gen --schemas ${CMAKE_SOURCE_DIR}/schemas)
file(GLOB SOUK_SCHEMAS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/schemas/*.yaml)
file(GLOB SOUK_GEN_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/schemas/gen/*.py)

execute_process(COMMAND ${SOUK_GEN} build --out ${SOUK_GEN_DIR} --list
    OUTPUT_VARIABLE SOUK_GENERATED_FILES OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" SOUK_GENERATED_FILES "${SOUK_GENERATED_FILES}")
# The services, by their dispatch sources.
set(SOUK_SERVICES ${SOUK_GENERATED_FILES})
list(FILTER SOUK_SERVICES INCLUDE REGEX "_dispatch\\.c$")
list(TRANSFORM SOUK_SERVICES REPLACE "^.*/(.*)_dispatch\\.c$" "\\1")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${SOUK_SCHEMAS} ${SOUK_GEN_SOURCES})

add_custom_command(
    OUTPUT ${SOUK_GEN_DIR}/stamp
    BYPRODUCTS ${SOUK_GENERATED_FILES}
    COMMAND ${SOUK_GEN} build --out ${SOUK_GEN_DIR}
    COMMAND ${CMAKE_COMMAND} -E touch ${SOUK_GEN_DIR}/stamp
    DEPENDS ${SOUK_SCHEMAS} ${SOUK_GEN_SOURCES}
    COMMENT "Generating C from schemas/" VERBATIM)
add_custom_target(souk_generated DEPENDS ${SOUK_GEN_DIR}/stamp)

add_library(souk_gen_headers INTERFACE)
target_include_directories(souk_gen_headers INTERFACE ${SOUK_GEN_DIR}/include)
add_dependencies(souk_gen_headers souk_generated)
