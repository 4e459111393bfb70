// The normalizers of tokenizer.json: what is changed in a text before it is split.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>
#include <vector>

#include "data/aligned_text.h"
#include "data/regex.h"
#include "data/unicode.h"

namespace reflect {

class Normalizer {
 public:
  Normalizer() = default;  // changes nothing
  // `json`: a "normalizer" object or null; `where` names it in errors. Throws Error for a type that
  // is not known here.
  Normalizer(const nlohmann::json& json, const std::string& where) { add(json, where, 0); }

  AlignedText apply(AlignedText text) const;

 private:
  struct Prepend {
    std::string text;
  };
  struct Replace {
    Regex pattern;
    std::string by;
  };
  using Step = std::variant<NormalForm, Prepend, Replace>;

  void add(const nlohmann::json& json, const std::string& where, int depth);
  static AlignedText applied(NormalForm form, AlignedText text);
  static AlignedText applied(const Prepend& prepend, AlignedText text);
  static AlignedText applied(const Replace& replace, AlignedText text);

  std::vector<Step> steps_;
};

}  // namespace reflect
