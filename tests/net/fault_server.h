// Starts tests/net/fault_server.py, a server that misbehaves on purpose, as its own process.
#pragma once

#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "reflect/net/http_client.h"

extern char** environ;

namespace reflect {

class FaultServer {
 public:
  // `arguments`: see the script.
  explicit FaultServer(const std::vector<std::string>& arguments = {}) {
    ::setenv("no_proxy", "127.0.0.1", 1);
    std::array<int, 2> input{}, output{};
    if (::pipe(input.data()) != 0 || ::pipe(output.data()) != 0) throw std::runtime_error("pipe");
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, input[0], 0);
    posix_spawn_file_actions_adddup2(&files, output[1], 1);
    for (const int end : {input[0], input[1], output[0], output[1]}) {
      posix_spawn_file_actions_addclose(&files, end);
    }
    std::vector<std::string> words = {"python3", REFLECT_SOURCE_DIR "/tests/net/fault_server.py"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const int error = posix_spawnp(&pid_, "python3", &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    ::close(input[0]);
    ::close(output[1]);
    input_ = input[1];
    if (error != 0) throw std::runtime_error("cannot start python3");
    for (char digit = 0; ::read(output[0], &digit, 1) == 1 && digit != '\n';) port_ += digit;
    ::close(output[0]);
    if (port_.empty()) throw std::runtime_error("the server does not start");
  }
  ~FaultServer() {
    ::close(input_);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  FaultServer(const FaultServer&) = delete;
  FaultServer& operator=(const FaultServer&) = delete;

  // The endpoint's base under a plan of faults; empty: none.
  std::string url(const std::string& plan = "", const std::string& scheme = "http") const {
    return scheme + "://127.0.0.1:" + port_ + (plan.empty() ? "" : "/" + plan) + "/v1";
  }
  // What GET /stats or GET /requests says.
  nlohmann::json told(const std::string& what) const {
    HttpClient client({}, "", "test");
    client.start(1, "http://127.0.0.1:" + port_ + "/" + what, "");
    for (int i = 0; i < 1000; ++i) {
      for (const HttpReply& reply : client.poll(std::chrono::milliseconds(20))) {
        return nlohmann::json::parse(reply.body);
      }
    }
    throw std::runtime_error("the server does not answer");
  }
  void kill() const { ::kill(pid_, SIGKILL); }

 private:
  pid_t pid_ = 0;
  int input_ = -1;
  std::string port_;
};

}  // namespace reflect
