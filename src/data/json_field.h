// Typed access to the members of a JSON object that came from a file, with errors that name both.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "data/regex.h"
#include "reflect/base/error.h"

namespace reflect {

// Parts of a tokenizer.json may hold each other ("Sequence"); deeper than this it is damaged.
inline constexpr int kMaxJsonNesting = 16;

template <class T>
T json_value(const nlohmann::json& value, std::string_view key, const std::string& where) {
  try {
    return value.get<T>();
  } catch (const nlohmann::json::exception&) {
    fail("tokenizer", "{}: '{}' has the wrong type ({}); fetch the file again", where, key,
         value.type_name());
  }
}

// Where `object` is no object or has no such member: Error.
inline const nlohmann::json& json_member(const nlohmann::json& object, const char* key,
                                         const std::string& where) {
  if (!object.is_object() || !object.contains(key))
    fail("tokenizer", "{}: '{}' is missing; fetch the file again", where, key);
  return object[key];
}

template <class T>
T json_field(const nlohmann::json& object, const char* key, const std::string& where) {
  return json_value<T>(json_member(object, key, where), key, where);
}

// `otherwise` where the member is missing or null.
template <class T>
T json_field_or(const nlohmann::json& object, const char* key, T otherwise,
                const std::string& where) {
  if (!object.is_object() || !object.contains(key) || object[key].is_null()) return otherwise;
  return json_value<T>(object[key], key, where);
}

// The "type" of a part that lies `depth` parts deep.
inline std::string json_type(const nlohmann::json& object, int depth, const std::string& where) {
  if (depth > kMaxJsonNesting)
    fail("tokenizer", "{}: nested deeper than {} levels; fetch the file again", where, depth - 1);
  return json_field<std::string>(object, "type", where);
}

// {"Regex": "..."} or {"String": "..."}.
inline Regex json_pattern(const nlohmann::json& object, const std::string& where) {
  const nlohmann::json& pattern = json_member(object, "pattern", where);
  if (pattern.is_object() && pattern.contains("String"))
    return Regex::literal(where, json_field<std::string>(pattern, "String", where));
  return Regex(where, json_field<std::string>(pattern, "Regex", where));
}

}  // namespace reflect
