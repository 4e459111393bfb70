#include "reflect/cli/app.h"

#include <c10/util/Exception.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <map>
#include <new>
#include <optional>
#include <system_error>

#include "reflect/base/signals.h"
#include "reflect/dist/launcher.h"

namespace reflect {
namespace {

constexpr std::string_view kFlagsOp = "flags";

// What the flags said, before it is laid over the configuration file.
struct CommandLine {
  std::map<std::string, std::string> values;  // path -> text
  std::string config_file;
  bool print_config = false;
};

std::string type_name(const Field& field) {
  if (!field.choices.empty()) {
    std::string text;
    for (const std::string& choice : field.choices) text += (text.empty() ? "" : "|") + choice;
    return text;
  }
  struct Namer {
    const char* operator()(const bool*) const { return "[true|false]"; }
    const char* operator()(const std::int64_t*) const { return "INT"; }
    const char* operator()(const double*) const { return "NUMBER"; }
    const char* operator()(const std::string*) const { return "TEXT"; }
    const char* operator()(const std::vector<std::string>*) const { return "TEXT,..."; }
    const char* operator()(const StructList&) const { return ""; }
  };
  return std::visit(Namer{}, field.value);
}

std::string help_of(const Field& field) {
  const std::string value = text_of(field);
  return value.empty() ? field.help : fmt::format("{} [{}]", field.help, value);
}

std::string group_of(const std::string& path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string::npos ? "Settings" : "Settings of " + path.substr(0, dot);
}

void add_flag(CLI::App& app, const Field& field, CommandLine& line) {
  const bool is_bool = std::holds_alternative<bool*>(field.value);
  CLI::Option* option = app.add_option_function<std::string>(
      "--" + field.path,
      [&line, path = field.path, is_bool](const std::string& text) {
        line.values[path] = is_bool && text.empty() ? "true" : text;
      },
      help_of(field));
  option->type_name(type_name(field))->group(group_of(field.path));
  const bool is_list = std::holds_alternative<std::vector<std::string>*>(field.value);
  if (is_list) {
    option->join(',');  // given twice, a list grows
  } else {
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  if (is_bool) option->expected(0, 1);
}

[[noreturn]] void fail_unknown_flag(const std::string& argument, const std::vector<Field>& fields) {
  if (!argument.starts_with("--")) {
    fail_usage(kFlagsOp, "\"{}\" is not a flag; flags read --name value, --help lists them",
               argument);
  }
  std::vector<std::string> known = {"config", "print-config", "help", "version"};
  for (const Field& field : fields) known.push_back(field.path);
  const std::string name = argument.substr(2, argument.find('=') - 2);
  const std::string nearest = nearest_name(name, known);
  fail_usage(
      kFlagsOp, "unknown flag \"--{}\"; {}", name,
      nearest.empty() ? "--help lists the known ones" : "did you mean \"--" + nearest + "\"?");
}

// "--max-length" and "--max_length" are one flag: the name is spelled as its field has it.
std::string with_known_spelling(std::string argument, const std::vector<Field>& fields) {
  const auto plain = [](std::string name) {
    std::ranges::replace(name, '-', '_');
    return name;
  };
  if (!argument.starts_with("--")) return argument;
  const std::size_t end = std::min(argument.find('='), argument.size());
  const std::string name = plain(argument.substr(2, end - 2));
  const auto known =
      std::ranges::find(fields, name, [&](const Field& field) { return plain(field.path); });
  return known == fields.end() ? argument
                               : fmt::format("--{}{}", known->path, argument.substr(end));
}

// "--list a b" as "--list a,b": what follows a list's flag up to the next flag.
std::vector<std::string> with_joined_lists(std::vector<std::string> arguments,
                                           const std::vector<Field>& fields) {
  std::vector<std::string> joined;
  bool in_list = false;
  for (std::string& argument : arguments) {
    if (argument.starts_with("--")) {
      const auto field = std::ranges::find(fields, argument.substr(2), &Field::path);
      in_list =
          field != fields.end() && std::holds_alternative<std::vector<std::string>*>(field->value);
    } else if (in_list && !joined.back().starts_with("--")) {
      joined.back().append(",").append(argument);
      continue;
    }
    joined.push_back(std::move(argument));
  }
  return joined;
}

// The arguments as CLI11 takes them: last one first, and "--name=" as a flag with an empty value.
std::vector<std::string> arguments_of(int argc, char** argv, const std::vector<Field>& fields) {
  std::vector<std::string> given;
  for (int i = 1; i < argc; ++i) given.push_back(with_known_spelling(argv[i], fields));
  std::vector<std::string> arguments = with_joined_lists(std::move(given), fields);
  std::reverse(arguments.begin(), arguments.end());
  std::vector<std::string> result;
  for (std::string& argument : arguments) {
    if (argument.starts_with("--") && argument.ends_with('=')) {
      result.emplace_back();
      argument.pop_back();
    }
    result.push_back(std::move(argument));
  }
  return result;
}

// The examples, after the settings that have no flag.
std::string footer_of(const AppInfo& info, const std::vector<Field>& fields) {
  std::string lists;
  for (const Field& field : fields) {
    if (std::holds_alternative<StructList>(field.value)) {
      lists += fmt::format("  {:<34}{}\n", field.path, field.help);
    }
  }
  return (lists.empty() ? "" : "Lists, only in the file of --config:\n" + lists + "\n") +
         "Examples:\n" + info.examples;
}

// Reads the flags; returns an exit code where --help, --version or a mistake ends the run.
std::optional<int> parse_flags(int argc, char** argv, const AppInfo& info,
                               const std::vector<Field>& fields, CommandLine& line) {
  CLI::App app(info.summary, info.name);
  app.allow_extras();
  app.footer(footer_of(info, fields));
  app.get_formatter()->column_width(36);
  app.set_help_flag("-h,--help", "Show this text.")->group("General");
  app.set_version_flag("--version", info.name + " " REFLECT_VERSION, "Show the version.")
      ->group("General");
  app.add_option("--config", line.config_file, "YAML file with settings; flags win over it.")
      ->type_name("FILE")
      ->group("General");
  app.add_flag("--print-config", line.print_config, "Print the resolved settings and stop.")
      ->group("General");
  for (const Field& field : fields) {
    if (!std::holds_alternative<StructList>(field.value)) add_flag(app, field, line);
  }
  try {
    app.parse(arguments_of(argc, argv, fields));
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    fail_usage(kFlagsOp, "{}", error.what());
  }
  const std::vector<std::string> unknown = app.remaining();
  if (!unknown.empty()) fail_unknown_flag(unknown.front(), fields);
  return std::nullopt;
}

void set_fields(const CommandLine& line, std::vector<Field>& fields) {
  if (!line.config_file.empty()) read_yaml(line.config_file, fields);
  for (const auto& [path, text] : line.values) {
    const auto field = std::ranges::find(fields, path, &Field::path);
    const bool is_text = std::holds_alternative<std::string*>(field->value);
    if (is_text && text.empty() && text_of(*field).empty()) {
      fail_usage(kFlagsOp, "--{} has an empty value; give one, or leave the flag out", path);
    }
    set_from_text(*field, text, "--" + path);
  }
}

// Logs go to standard error, "<tool>: <level>: <text>".
void start_logging(const AppInfo& info, const std::vector<Field>& fields, int rank) {
  auto logger = std::make_shared<spdlog::logger>(
      info.name, std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern("%n: %^%l%$: %v");
  const auto level = std::ranges::find(fields, "log-level", &Field::path);
  if (level != fields.end()) logger->set_level(spdlog::level::from_str(text_of(*level)));
  if (rank > 0) logger->set_level(std::max(logger->level(), spdlog::level::warn));
  spdlog::set_default_logger(std::move(logger));
}

// `info` gets the rank as part of its name where several processes run the job.
int run_checked(int argc, char** argv, AppInfo& info, Job& job) {
  CommandLine line;
  if (const std::optional<int> code = parse_flags(argc, argv, info, job.fields, line)) return *code;
  set_fields(line, job.fields);
  if (line.print_config) {
    std::cout << to_yaml(job.fields) << std::flush;
    return static_cast<int>(ExitCode::kDone);
  }
  const bool launches = job.launch != nullptr && is_launcher(*job.launch);
  const LaunchEnvironment place = job.launch ? launch_environment() : LaunchEnvironment{};
  if (!launches && place.world_size > 1) info.name += fmt::format("[rank {}]", place.rank);
  start_logging(info, job.fields, launches ? 0 : place.rank);
  watch_signals();
  const ExitCode code = launches ? launch_ranks(*job.launch, {argv, argv + argc}) : job.run();
  const int signal = signal_received();
  return code == ExitCode::kIncomplete && signal != 0 ? 128 + signal : static_cast<int>(code);
}

// What is printed may be all that was asked for: that it is lost is a failure.
void flush_standard_output() {
  std::cout.flush();
  if (!std::cout || std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    fail("output", "standard output cannot be written: {}", std::generic_category().message(errno));
}

// The first line of `message` on standard error.
int report(const AppInfo& info, std::string_view message, ExitCode code = ExitCode::kFailed) {
  std::cerr << info.name << ": " << message.substr(0, message.find('\n')) << std::endl;
  return static_cast<int>(code);
}

int report_memory(const AppInfo& info) {
  return report(info,
                "[memory] out of memory; use smaller batches, shorter rows or a smaller model");
}

// libtorch's CPU allocator throws a plain c10::Error.
bool is_out_of_memory(const c10::Error& error) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         std::string_view(error.what_without_backtrace()).find("can't allocate memory") !=
             std::string_view::npos;
}

}  // namespace

int run_app(int argc, char** argv, const AppInfo& tool, Job job) {
  AppInfo info = tool;
  try {
    follow_launcher();
    const int code = run_checked(argc, argv, info, job);
    flush_standard_output();
    return code;
  } catch (const Error& error) {
    return report(info, error.what(), error.exit_code());
  } catch (const c10::Error& error) {
    if (is_out_of_memory(error)) return report_memory(info);
    return report(info, fmt::format("[libtorch] {}", error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    return report_memory(info);
  } catch (const std::exception& error) {
    return report(info, fmt::format("[unexpected] {}", error.what()));
  }
}

}  // namespace reflect
