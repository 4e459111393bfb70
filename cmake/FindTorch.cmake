# Finds libtorch inside a PyTorch wheel without TorchConfig.cmake, which demands a CUDA toolkit.
#
# TORCH_ROOT: the folder that holds include/ and lib/ (".../site-packages/torch" of a wheel, or an
# unpacked libtorch). Default: what scripts/setup.sh installs.
# Defines Torch::cpu and, where REFLECT_CUDA is on, Torch::cuda.

if(NOT TORCH_ROOT)
  file(GLOB TORCH_ROOT ${PROJECT_SOURCE_DIR}/build/torch/lib/python3*/site-packages/torch)
endif()
set(TORCH_ROOT "${TORCH_ROOT}" CACHE PATH "Folder of libtorch (with include/ and lib/)")

find_library(TORCH_CPU_LIBRARY torch_cpu PATHS ${TORCH_ROOT}/lib NO_DEFAULT_PATH)
find_library(TORCH_C10_LIBRARY c10 PATHS ${TORCH_ROOT}/lib NO_DEFAULT_PATH)
file(GLOB TORCH_GOMP_LIBRARY ${TORCH_ROOT}/lib/libgomp*.so*)  # some wheels put a hash into its name
find_path(TORCH_INCLUDE_DIR ATen/ATen.h PATHS ${TORCH_ROOT}/include NO_DEFAULT_PATH)
set(torch_required TORCH_CPU_LIBRARY TORCH_C10_LIBRARY TORCH_GOMP_LIBRARY TORCH_INCLUDE_DIR)

if(REFLECT_CUDA)
  find_library(TORCH_CUDA_LIBRARY torch_cuda PATHS ${TORCH_ROOT}/lib NO_DEFAULT_PATH)
  find_library(TORCH_C10_CUDA_LIBRARY c10_cuda PATHS ${TORCH_ROOT}/lib NO_DEFAULT_PATH)
  list(APPEND torch_required TORCH_CUDA_LIBRARY TORCH_C10_CUDA_LIBRARY)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Torch
  REQUIRED_VARS ${torch_required}
  REASON_FAILURE_MESSAGE "run scripts/setup.sh, or pass -DTORCH_ROOT=<folder of torch>")

if(Torch_FOUND AND NOT TARGET Torch::cpu)
  add_library(Torch::cpu INTERFACE IMPORTED)
  # After the system's folders: the wheel carries its own fmt, which does not go with spdlog's.
  target_compile_options(Torch::cpu INTERFACE
    "SHELL:-idirafter ${TORCH_INCLUDE_DIR}"
    "SHELL:-idirafter ${TORCH_INCLUDE_DIR}/torch/csrc/api/include")
  # Without it ATen/TensorOperators.h includes every operator that there is.
  target_compile_definitions(Torch::cpu INTERFACE AT_PER_OPERATOR_HEADERS)
  # at::parallel_for is serial where a source is compiled without OpenMP. Linked is the wheel's own
  # runtime: two of them in one process would fight for the cores.
  target_compile_options(Torch::cpu INTERFACE -fopenmp)
  target_link_libraries(Torch::cpu INTERFACE ${TORCH_CPU_LIBRARY} ${TORCH_C10_LIBRARY}
                                             ${TORCH_GOMP_LIBRARY})
  target_link_options(Torch::cpu INTERFACE -Wl,--allow-shlib-undefined)
endif()

if(Torch_FOUND AND REFLECT_CUDA AND NOT TARGET Torch::cuda)
  find_package(CUDAToolkit REQUIRED)
  add_library(Torch::cuda INTERFACE IMPORTED)
  # Nothing refers to libtorch_cuda by name: loading it is what registers its kernels. Its own
  # libraries (cuBLAS, cuDNN, NCCL) lie in the toolkit's folder.
  target_link_options(Torch::cuda INTERFACE
    -Wl,--push-state,--no-as-needed ${TORCH_CUDA_LIBRARY} ${TORCH_C10_CUDA_LIBRARY} -Wl,--pop-state
    -Wl,--disable-new-dtags -Wl,-rpath,${CUDAToolkit_LIBRARY_DIR})
  target_link_libraries(Torch::cuda INTERFACE Torch::cpu CUDA::cudart)
endif()
