# The kernels of the preset cuda, compiled by nvcc: machine code for A100 and newer cards of its kind
# and for Hopper, and PTX for what comes later.

if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(CMAKE_CUDA_COMPILER nvcc PATHS /usr/local/cuda/bin REQUIRED)
endif()
set(CMAKE_CUDA_ARCHITECTURES 80-real 90 CACHE STRING "Architectures of the kernels")
enable_language(CUDA)

add_library(reflect_gpu STATIC src/model/gpu_launch.cu)
set_target_properties(reflect_gpu PROPERTIES CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON)
target_compile_options(reflect_gpu PRIVATE -Xcompiler=-Wall,-Wextra,-Werror -Werror=all-warnings)
target_link_libraries(reflect PRIVATE reflect_gpu)
