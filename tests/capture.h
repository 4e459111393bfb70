// What a piece of code writes to a file descriptor, as text.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "reflect/base/file.h"
#include "temp_folder.h"

namespace reflect {

// Runs `action` with `descriptor` (STDOUT_FILENO or STDERR_FILENO) going to a file.
template <class Action>
std::string output_of(int descriptor, Action action) {
  const auto flush = [] {
    std::fflush(nullptr);
    std::cout.flush();
  };
  const TempFolder folder;
  flush();
  const int before = ::dup(descriptor);
  const int file = ::open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0600);
  ::dup2(file, descriptor);
  action();
  flush();
  ::dup2(before, descriptor);
  ::close(before);
  ::close(file);
  return read_file(folder / "out");
}

}  // namespace reflect
