// A run of reflect-gen in which the demo model's own errors on generated problems become traces.
#pragma once

#include <string>
#include <vector>

#include "e2e/run_tool.h"

namespace reflect {

inline std::vector<std::string> own_errors(const std::string& output,
                                           const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"--recipe",
                                        "own_errors",
                                        "--teacher.kind",
                                        "local",
                                        "--teacher.model",
                                        std::string(REFLECT_SOURCE_DIR) + "/data/demo/model",
                                        "--teacher.sampling.max_new_tokens",
                                        "120",
                                        "--procedural.operations",
                                        "3-4",
                                        "--teacher.engine.max_batch_rows",
                                        "8",
                                        "--threads",
                                        "1",
                                        "--quiet",
                                        "--output",
                                        output};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace reflect
