# The installed tree is relocatable: bin/ with the tools, lib/ with libtorch, share/reflect with data.
file(GLOB torch_runtime
  ${TORCH_ROOT}/lib/libtorch_cpu.so ${TORCH_ROOT}/lib/libc10.so ${TORCH_ROOT}/lib/libgomp*.so*
  ${TORCH_ROOT}/../nvidia/cu13/lib/libcudart.so.13 ${TORCH_ROOT}/../nvidia/cu13/lib/libcupti.so.13)
install(FILES ${torch_runtime} DESTINATION lib)
install(DIRECTORY data/ DESTINATION share/reflect/data)
install(FILES LICENSE README.md DESTINATION share/reflect)
