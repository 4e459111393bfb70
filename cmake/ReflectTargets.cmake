# Helpers that declare this project's libraries, tools and tests, and the warnings they all share.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

add_library(reflect_flags INTERFACE)
target_compile_options(reflect_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror)
# The release preset compiles eight sources of a library as one ("unity"): their headers are read and
# their templates instantiated once, which halves the build's time. The dev preset compiles each by
# itself, so that a source that includes too little is found.
if(CMAKE_UNITY_BUILD)
  # Taken for a header, a source may not hold a member of an anonymous type.
  target_compile_options(reflect_flags INTERFACE -Wno-subobject-linkage)
endif()

option(REFLECT_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer." OFF)
if(REFLECT_SANITIZE)
  # GCC's own headers (std::regex) look uninitialised to it under the sanitizers.
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer
                      -fno-sanitize-recover=all -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=address,undefined)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # The sloppiness is what ccache asks for before it caches sources with a precompiled header.
  # With relative paths the preset cuda finds what release has compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
                                  CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# reflect_library(NAME AREAS area...): a static library of all sources in src/<area>.
function(reflect_library name)
  cmake_parse_arguments(ARG "" "" "AREAS" ${ARGN})
  set(sources)
  foreach(area ${ARG_AREAS})
    file(GLOB area_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${area}/*.cpp)
    list(APPEND sources ${area_sources})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/include
                             PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(${name} PRIVATE REFLECT_VERSION="${PROJECT_VERSION}")
  target_link_libraries(${name} PRIVATE reflect_flags)
endfunction()

# reflect_tool(NAME main.cpp): one command-line program in bin/.
function(reflect_tool name source)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE reflect reflect_flags)
  # DT_RPATH, not DT_RUNPATH: it also serves the libraries that the libraries need.
  target_link_options(${name} PRIVATE -Wl,--disable-new-dtags)
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
  install(TARGETS ${name} RUNTIME_DEPENDENCY_SET reflect_tools RUNTIME DESTINATION bin)
endfunction()

# reflect_test(AREA library): one test program of all tests/<area>/*_test.cpp. Programs of the same
# library share one precompiled header, that of the first.
function(reflect_test area library)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${area}/*_test.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(${area}_tests ${sources})
  target_link_libraries(${area}_tests PRIVATE ${library} reflect_flags test_main)
  target_include_directories(${area}_tests PRIVATE ${PROJECT_SOURCE_DIR}/src
                                                   ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${area}_tests PRIVATE
    REFLECT_SOURCE_DIR="${PROJECT_SOURCE_DIR}" REFLECT_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  target_compile_options(${area}_tests PRIVATE -O0)  # compile time matters more here than speed
  get_property(header_owner GLOBAL PROPERTY test_headers_of_${library})
  if(header_owner)
    target_precompile_headers(${area}_tests REUSE_FROM ${header_owner})
  else()
    set_property(GLOBAL PROPERTY test_headers_of_${library} ${area}_tests)
    target_precompile_headers(${area}_tests PRIVATE <filesystem> <fmt/ranges.h>
      <fstream> <functional> <map> <nlohmann/json.hpp>
      $<$<STREQUAL:${library},reflect>:<ATen/core/Tensor.h$<ANGLE-R>>)
  endif()
  target_compile_options(${area}_tests PRIVATE -fpch-preprocess)  # for ccache
  set_target_properties(${area}_tests PROPERTIES UNITY_BUILD OFF
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  catch_discover_tests(${area}_tests TEST_PREFIX "${area}:"
                       PROPERTIES TIMEOUT 600)
endfunction()
