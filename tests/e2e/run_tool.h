// Runs one of the project's programs and collects what it printed.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <string>
#include <vector>

#include "reflect/base/file.h"
#include "temp_folder.h"

extern char** environ;

namespace reflect {

struct ToolResult {
  int exit_code = 0;  // 128 + N where signal N ended it
  std::string out, err;
};

// A started program. Its output lies in files, so that no pipe can fill up and block it.
class Tool {
 public:
  // `name`: "reflect-score"; `input`: what it reads on standard input.
  Tool(const std::string& name, const std::vector<std::string>& arguments,
       const std::string& input = "") {
    write_file_atomic(folder_ / "in", input);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, (folder_ / "in").c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, (folder_ / "out").c_str(), O_WRONLY | O_CREAT,
                                     0600);
    posix_spawn_file_actions_addopen(&files, 2, (folder_ / "err").c_str(), O_WRONLY | O_CREAT,
                                     0600);
    const std::string program = std::string(REFLECT_BIN_DIR) + "/" + name;
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const int error = posix_spawn(&pid_, program.c_str(), &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) throw std::runtime_error("cannot start " + program);
  }
  ~Tool() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }
  Tool(const Tool&) = delete;
  Tool& operator=(const Tool&) = delete;

  pid_t pid() const { return pid_; }
  void send(int signal) { ::kill(pid_, signal); }
  std::string error_so_far() const { return read_file(folder_ / "err"); }

  ToolResult wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return {WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
            read_file(folder_ / "out"), read_file(folder_ / "err")};
  }

 private:
  TempFolder folder_;
  pid_t pid_ = 0;
};

// Runs to the end.
inline ToolResult run_tool(const std::string& name, const std::vector<std::string>& arguments,
                           const std::string& input = "") {
  return Tool(name, arguments, input).wait();
}

}  // namespace reflect
