// What every tool's main shares: flags, configuration file, help, logging, errors to exit codes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "reflect/base/config.h"
#include "reflect/base/error.h"

namespace reflect {

struct AppInfo {
  std::string name;      // "reflect-score"
  std::string summary;   // one sentence
  std::string examples;  // shown at the end of --help
};

// Parses flags (flag over file over default), handles --help, --version, --config and
// --print-config, sets up logging and signals, runs `run` and turns what it throws into
// one line on standard error and an exit code. A run that stops because of signal N returns
// kIncomplete; the exit code is then 128 + N.
int run_app(int argc, char** argv, const AppInfo& info, std::vector<Field> fields,
            const std::function<ExitCode()>& run);

// Runs a tool whose whole job is `job(config)`. Config flattens a RuntimeConfig named `runtime`.
template <class Config>
int run_app(int argc, char** argv, const AppInfo& info, ExitCode (*job)(const Config&)) {
  Config config;
  return run_app(argc, argv, info, fields_of(config), [&] { return job(config); });
}

}  // namespace reflect
