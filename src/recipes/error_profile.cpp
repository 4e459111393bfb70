#include "reflect/recipes/error_profile.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "recipes/corruption.h"
#include "reflect/base/config.h"
#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr const char* kMistakes = "mistakes";
constexpr const char* kKinds = "kinds";
constexpr const char* kPositions = "positions";
constexpr const char* kNoticeAfter = "notice_after";

// Share of step `place` that lies in part `part`, as a share of the whole solution.
double overlap(const StepPlace& place, std::size_t part) {
  const auto steps = static_cast<double>(place.steps);
  const double parts = ErrorProfile::kParts;
  const double begin =
      std::max(static_cast<double>(place.index) / steps, static_cast<double>(part) / parts);
  const double end =
      std::min(static_cast<double>(place.index + 1) / steps, static_cast<double>(part + 1) / parts);
  return std::max(0.0, end - begin);
}

double sum_of(const auto& weights) {
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

double sum_of(const std::map<std::string, double>& weights) {
  double sum = 0;
  for (const auto& [name, weight] : weights) sum += weight;
  return sum;
}

// Weights as shares of 1, written with six digits.
Json shares(const auto& weights) {
  const double sum = sum_of(weights);
  Json list = Json::array();
  for (const double weight : weights) list.push_back(std::round(weight / sum * 1e6) / 1e6);
  return list;
}

// Reads one profile; every complaint names the file.
class ProfileReader {
 public:
  explicit ProfileReader(const std::string& path) : path_(path) {}

  ErrorProfile read(const Json& json) const {
    if (!json.is_object()) bad("it is no JSON object");
    refuse_unknown(json);
    ErrorProfile profile;
    if (json.contains(kMistakes)) {
      const Json& count = json[kMistakes];
      if (!count.is_number_integer() || count < 0) bad("'mistakes' is no count");
      profile.mistakes = json[kMistakes].get<std::int64_t>();
    }
    if (json.contains(kKinds)) profile.kinds = kinds_in(json[kKinds]);
    if (json.contains(kPositions)) {
      const std::vector<double> weights = weights_in(json[kPositions], kPositions);
      if (weights.size() != ErrorProfile::kParts) {
        bad(fmt::format("'positions' has {} weights; {} parts of a solution are expected",
                        weights.size(), ErrorProfile::kParts));
      }
      std::ranges::copy(weights, profile.positions.begin());
    }
    if (json.contains(kNoticeAfter)) {
      profile.notice_after = weights_in(json[kNoticeAfter], kNoticeAfter);
    }
    return profile;
  }

  ErrorProfile read_file_there() const {
    ErrorProfile profile = read(parse());
    if (profile.kinds.empty() && sum_of(profile.positions) == 0 && profile.notice_after.empty()) {
      bad("it has neither kinds nor positions nor notice_after");
    }
    return profile;
  }

 private:
  [[noreturn]] void bad(const std::string& what) const {
    fail_usage("error profile", "{}: {}", path_, what);
  }

  Json parse() const {
    try {
      return Json::parse(read_file(path_));
    } catch (const Json::exception& error) {
      bad(error.what());
    }
  }

  void refuse_unknown(const Json& json) const {
    const std::vector<std::string> known = {kMistakes, kKinds, kPositions, kNoticeAfter};
    for (const auto& [name, value] : json.items()) {
      if (std::ranges::find(known, name) != known.end()) continue;
      bad(fmt::format("'{}' is not known; known: {}", name, fmt::join(known, ", ")));
    }
  }

  double weight_in(const Json& value, const std::string& name) const {
    const bool fits = value.is_number() && std::isfinite(value.get<double>()) && value >= 0;
    if (!fits) bad(fmt::format("'{}' holds {}, no weight of 0 or more", name, value.dump()));
    return value.get<double>();
  }

  std::vector<double> weights_in(const Json& list, const std::string& name) const {
    if (!list.is_array()) bad(fmt::format("'{}' is no list of weights", name));
    std::vector<double> weights;
    for (const Json& value : list) weights.push_back(weight_in(value, name));
    if (!(sum_of(weights) > 0)) bad(fmt::format("the weights of '{}' are all 0", name));
    return weights;
  }

  std::map<std::string, double> kinds_in(const Json& object) const {
    if (!object.is_object()) bad("'kinds' is no object of weights by kind");
    std::map<std::string, double> kinds;
    for (const auto& [name, value] : object.items()) {
      if (!error_kind_named(name)) {
        const std::string nearest = nearest_name(name, error_kind_names());
        bad(fmt::format("'{}' is no kind of mistake{}; known: {}", name,
                        nearest.empty() ? "" : ", did you mean '" + nearest + "'?",
                        fmt::join(error_kind_names(), ", ")));
      }
      kinds[name] = weight_in(value, name);
    }
    if (!(sum_of(kinds) > 0)) bad("the weights of 'kinds' are all 0");
    return kinds;
  }

  const std::string& path_;
};

}  // namespace

void ErrorProfile::add(const std::string& kind, const std::optional<StepPlace>& place,
                       const std::optional<std::size_t>& noticed_after) {
  ++mistakes;
  if (!kind.empty()) ++kinds[kind];
  if (place && place->index < place->steps) {
    for (std::size_t part = 0; part < kParts; ++part) {
      positions[part] += overlap(*place, part) * static_cast<double>(place->steps);
    }
  }
  if (noticed_after) {
    notice_after.resize(std::max(notice_after.size(), *noticed_after + 1));
    ++notice_after[*noticed_after];
  }
}

double ErrorProfile::told() const {
  return sum_of(kinds);
}

double ErrorProfile::weight_of(const StepPlace& place) const {
  const double sum = sum_of(positions);
  if (sum == 0) return 1 / static_cast<double>(place.steps);
  double weight = 0;
  for (std::size_t part = 0; part < kParts; ++part) {
    weight += positions[part] / sum * overlap(place, part) * kParts;
  }
  return weight;
}

Json json_of(const ErrorProfile& profile) {
  Json json = {{kMistakes, profile.mistakes}};
  if (const double sum = sum_of(profile.kinds); sum > 0) {
    for (const auto& [name, weight] : profile.kinds) {
      json[kKinds][name] = std::round(weight / sum * 1e6) / 1e6;
    }
  }
  if (sum_of(profile.positions) > 0) json[kPositions] = shares(profile.positions);
  if (sum_of(profile.notice_after) > 0) json[kNoticeAfter] = shares(profile.notice_after);
  return json;
}

Json weights_of(const ErrorProfile& profile) {
  Json json = {{kMistakes, profile.mistakes}};
  if (sum_of(profile.kinds) > 0) json[kKinds] = profile.kinds;
  if (sum_of(profile.positions) > 0) json[kPositions] = profile.positions;
  if (sum_of(profile.notice_after) > 0) json[kNoticeAfter] = profile.notice_after;
  return json;
}

ErrorProfile read_error_profile(const std::string& path) {
  return ProfileReader(path).read_file_there();
}

ErrorProfile profile_of(const Json& json, const std::string& where) {
  return ProfileReader(where).read(json);
}

std::vector<ProfileLine> compare(const ErrorProfile& own, const ErrorProfile* wanted) {
  std::vector<ProfileLine> lines;
  // Adds a line for each of `count` names; sums of 0 mean that nothing is known.
  const auto add = [&](std::size_t count, const auto& name_at, const auto& own_at,
                       const auto& wanted_at) {
    double own_sum = 0, wanted_sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
      own_sum += own_at(i);
      wanted_sum += wanted_at(i);
    }
    for (std::size_t i = 0; own_sum > 0 && i < count; ++i) {
      if (own_at(i) == 0 && wanted_at(i) == 0) continue;
      ProfileLine line{name_at(i), own_at(i) / own_sum, std::nullopt};
      if (wanted_sum > 0) line.wanted = wanted_at(i) / wanted_sum;
      lines.push_back(std::move(line));
    }
  };
  const auto weight_in = [](const std::map<std::string, double>& kinds, const std::string& name) {
    const auto found = kinds.find(name);
    return found == kinds.end() ? 0.0 : found->second;
  };
  const std::vector<std::string> kinds = error_kind_names();
  add(
      kinds.size(), [&](std::size_t i) { return kinds[i]; },
      [&](std::size_t i) { return weight_in(own.kinds, kinds[i]); },
      [&](std::size_t i) { return wanted ? weight_in(wanted->kinds, kinds[i]) : 0.0; });
  constexpr std::size_t kParts = ErrorProfile::kParts;
  add(
      kParts,
      [&](std::size_t i) {
        return fmt::format("at {}-{} %", i * 100 / kParts, (i + 1) * 100 / kParts);
      },
      [&](std::size_t i) { return own.positions[i]; },
      [&](std::size_t i) { return wanted ? wanted->positions[i] : 0.0; });
  const auto at_least = [](const std::vector<double>& weights, std::size_t i) {
    return i < weights.size() ? weights[i] : 0.0;
  };
  add(
      std::max(own.notice_after.size(), wanted ? wanted->notice_after.size() : 0),
      [&](std::size_t i) { return fmt::format("noticed after {}", i); },
      [&](std::size_t i) { return at_least(own.notice_after, i); },
      [&](std::size_t i) { return wanted ? at_least(wanted->notice_after, i) : 0.0; });
  return lines;
}

}  // namespace reflect
