# The installed tree can be moved and needs no packages: bin/ with the tools, lib/ with every shared
# library but the C and C++ runtime, share/reflect with the data.
install(RUNTIME_DEPENDENCY_SET reflect_tools
  PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|rt|dl|util|pthread|gcc_s|stdc\\+\\+)\\.so" "^libcuda\\.so"
  LIBRARY DESTINATION lib)
install(DIRECTORY data/ DESTINATION share/reflect/data)
install(FILES LICENSE README.md DESTINATION share/reflect)
