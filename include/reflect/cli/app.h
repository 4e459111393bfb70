// What every tool's main shares: flags, configuration file, help, logging, errors to exit codes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "reflect/base/config.h"
#include "reflect/base/error.h"
#include "reflect/dist/launch.h"

namespace reflect {

struct AppInfo {
  std::string name;      // "reflect-score"
  std::string summary;   // one sentence
  std::string examples;  // shown at the end of --help
};

// A tool's job. `launch`, where not null, is the part of the configuration that says how many
// processes run it.
struct Job {
  std::vector<Field> fields;
  std::function<ExitCode()> run;
  const LaunchConfig* launch = nullptr;
};

// Parses flags (flag over file over default), handles --help, --version, --config and
// --print-config, sets up logging and signals, runs `run` and turns what it throws into
// one line on standard error and an exit code. A run that stops because of signal N returns
// kIncomplete; the exit code is then 128 + N. Where `launch` asks for several processes, this one
// starts them and waits; of several, those after the first log warnings only.
int run_app(int argc, char** argv, const AppInfo& info, Job job);

// Runs a tool whose whole job is `job(config)`. Config flattens a RuntimeConfig named `runtime`; a
// LaunchConfig named `launch` lets it run as several processes.
template <class Config>
int run_app(int argc, char** argv, const AppInfo& info, ExitCode (*job)(const Config&)) {
  Config config;
  const LaunchConfig* launch = nullptr;
  if constexpr (requires { config.launch; }) launch = &config.launch;
  return run_app(argc, argv, info, {fields_of(config), [&] { return job(config); }, launch});
}

}  // namespace reflect
