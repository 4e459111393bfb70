// tokenizer.json of the tokenizers library: byte-level and SentencePiece-style BPE.
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "data/bpe_tokenizer.h"
#include "data/json_field.h"
#include "data/piece_spelling.h"
#include "data/tokenizer_files.h"
#include "reflect/base/error.h"

namespace reflect {
namespace {

using Json = nlohmann::json;

// What the decoder does to the names of tokens.
struct Decoding {
  bool byte_fallback = false;         // "<0x0A>" is a byte
  std::string space_mark;             // this is a space; empty: nothing is
  bool strips_leading_space = false;  // of a whole text
};

void read_decoder(const Json& json, const std::string& where, int depth, Decoding& decoding) {
  if (json.is_null()) return;
  const std::string type = json_type(json, depth, where);
  if (type == "Sequence") {
    for (const Json& part : json_member(json, "decoders", where))
      read_decoder(part, where, depth + 1, decoding);
  } else if (type == "ByteFallback") {
    decoding.byte_fallback = true;
  } else if (type == "Replace") {
    if (json_field<std::string>(json, "content", where) != " ")
      fail("tokenizer", "{}: Replace is supported with the content ' ' only", where);
    decoding.space_mark =
        json_field<std::string>(json_member(json, "pattern", where), "String", where);
  } else if (type == "Strip") {
    decoding.strips_leading_space = json_field_or<std::int64_t>(json, "start", 0, where) > 0;
  } else if (type == "Metaspace") {
    decoding.space_mark = json_field<std::string>(json, "replacement", where);
    decoding.strips_leading_space =
        json_field_or<std::string>(json, "prepend_scheme", "always", where) != "never" &&
        json_field_or(json, "add_prefix_space", true, where);
  } else if (type != "ByteLevel" && type != "Fuse") {
    fail("tokenizer",
         "{}: decoder type '{}' is not supported; known are ByteLevel, ByteFallback, Fuse, "
         "Metaspace, Replace, Sequence and Strip",
         where, type);
  }
}

std::string decoded_name(const std::string& name, const Decoding& decoding) {
  const auto byte = decoding.byte_fallback ? byte_token_value(name) : std::nullopt;
  if (byte) return std::string(1, static_cast<char>(*byte));
  return decoding.space_mark.empty() ? name : with_spaces(name, decoding.space_mark);
}

// BOS where the template for one text starts with a special token; its name, or empty.
std::string leading_special_token(const Json& json, const std::string& where, int depth) {
  if (json.is_null()) return "";
  const std::string type = json_type(json, depth, where);
  if (type == "Sequence") {
    for (const Json& part : json_member(json, "processors", where)) {
      std::string name = leading_special_token(part, where, depth + 1);
      if (!name.empty()) return name;
    }
  } else if (type == "TemplateProcessing") {
    const Json& single = json_member(json, "single", where);
    if (single.is_array() && !single.empty() && single[0].contains("SpecialToken"))
      return json_field<std::string>(single[0]["SpecialToken"], "id", where);
  }
  return "";
}

class Reader {
 public:
  Reader(const std::string& path, const TokenizerConfig& config)
      : path_(path), json_(read_json(path)), config_(config) {}

  BpeTokenizerParts read() {
    const Json& model = json_member(json_, "model", path_);
    const auto type = json_field_or<std::string>(model, "type", "BPE", path_);
    if (type != "BPE") {
      fail("tokenizer",
           "{}: the model is of type '{}', only BPE is supported; use the "
           "tokenizer.model of the checkpoint if it has one",
           path_, type);
    }
    parts_.normalizer = Normalizer(optional("normalizer"), path_ + ": normalizer");
    parts_.pre_tokenizer = PreTokenizer(optional("pre_tokenizer"), path_ + ": pre_tokenizer");
    read_decoder(optional("decoder"), path_ + ": decoder", 0, decoding_);
    parts_.strips_leading_space = decoding_.strips_leading_space;
    read_names(json_member(model, "vocab", path_));
    read_added_tokens();
    read_model(model);
    read_merges(json_member(model, "merges", path_));
    set_bos_and_eos();
    return std::move(parts_);
  }

 private:
  Json optional(const char* key) const { return json_.value(key, Json()); }

  void read_names(const Json& vocab) {
    if (!vocab.is_object() || vocab.empty())
      fail("tokenizer", "{}: 'vocab' is not an object with tokens; fetch the file again", path_);
    for (const auto& [name, id] : vocab.items()) {
      const std::int32_t checked = checked_token_id(id, name, path_);
      set_bytes(checked, "");
      ids_.emplace(name, checked);
    }
    for (const auto& [name, id] : ids_) {
      std::string& bytes = parts_.bytes_of_id[static_cast<std::size_t>(id)];
      if (!bytes.empty())
        fail("tokenizer", "{}: two tokens have the id {}; fetch the file again", path_, id);
      const std::optional<std::string> raw = parts_.pre_tokenizer.byte_level()
                                                 ? byte_level_bytes(name)
                                                 : decoded_name(name, decoding_);
      bytes = raw.value_or(name);
    }
  }

  void set_bytes(std::int32_t id, std::string bytes) {
    const auto index = static_cast<std::size_t>(id);
    if (parts_.bytes_of_id.size() <= index) parts_.bytes_of_id.resize(index + 1);
    parts_.bytes_of_id[index] = std::move(bytes);
  }

  void read_added_tokens() {
    const std::string where = path_ + ": added_tokens";
    for (const Json& entry : optional("added_tokens")) {
      const auto name = json_field<std::string>(entry, "content", where);
      const std::int32_t id = checked_token_id(json_member(entry, "id", where), name, where);
      parts_.added_tokens.push_back(added_token_of(entry, id, where));
      set_bytes(id, name);
      if (parts_.added_tokens.back().special) special_names_.insert(name);
    }
  }

  void read_model(const Json& model) {
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!json_field_or<std::string>(model, key, "", path_).empty())
        fail("tokenizer", "{}: '{}' is not supported", path_, key);
    }
    if (json_field_or(model, "dropout", 0.0, path_) != 0)
      fail("tokenizer", "{}: 'dropout' makes ids random; set it to null", path_);
    Bpe::Options options;
    options.by_bytes = parts_.pre_tokenizer.byte_level();
    options.ignore_merges = json_field_or(model, "ignore_merges", false, path_);
    options.byte_fallback = json_field_or(model, "byte_fallback", false, path_);
    options.fuse_unknown = json_field_or(model, "fuse_unk", false, path_);
    const auto unknown = json_field_or<std::string>(model, "unk_token", "", path_);
    if (!unknown.empty()) {
      options.unknown_id = id_of_text(unknown);
      if (!options.unknown_id)
        fail("tokenizer", "{}: the unk_token '{}' is not in the vocabulary", path_, unknown);
    }
    parts_.bpe = Bpe(options);
    for (const auto& [name, id] : ids_) add_to_model(name, id, options.by_bytes);
  }

  // Special tokens stay out of the model: no text is encoded as one.
  void add_to_model(const std::string& name, std::int32_t id, bool by_bytes) {
    if (special_names_.contains(name)) return;
    if (!by_bytes) {
      parts_.bpe.add_token(id, name);
      if (const auto byte = byte_token_value(name)) parts_.bpe.set_byte_fallback(*byte, id);
    } else if (const auto bytes = byte_level_bytes(name)) {
      parts_.bpe.add_token(id, *bytes);
    }
  }

  // Each merge is "a b" or ["a", "b"].
  void read_merges(const Json& merges) {
    if (!merges.is_array())
      fail("tokenizer", "{}: 'merges' is not a list; fetch the file again", path_);
    parts_.bpe.merges().reserve(merges.size());
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      const auto [left, right] = pair_of(merges[rank], rank);
      const std::int32_t left_id = id_in_merge(left, rank);
      const std::int32_t right_id = id_in_merge(right, rank);
      parts_.bpe.merges().set(left_id, right_id,
                              {static_cast<std::uint32_t>(rank), id_in_merge(left + right, rank)});
    }
  }

  std::int32_t id_in_merge(const std::string& name, std::size_t rank) const {
    const auto found = ids_.find(name);
    if (found == ids_.end()) {
      fail("tokenizer",
           "{}: merge {} names '{}', which is not in the vocabulary; fetch the file "
           "again",
           path_, rank, name);
    }
    return found->second;
  }

  std::pair<std::string, std::string> pair_of(const Json& merge, std::size_t rank) const {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
      return {merge[0].get<std::string>(), merge[1].get<std::string>()};
    if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      const std::size_t space = text.find(' ');
      if (space != text.npos && text.find(' ', space + 1) == text.npos)
        return {text.substr(0, space), text.substr(space + 1)};
    }
    fail("tokenizer", "{}: merge {} is {}, not a pair of tokens; fetch the file again", path_, rank,
         merge.dump().substr(0, 80));
  }

  std::optional<std::int32_t> id_of_text(const std::string& text) const {
    for (const AddedToken& token : parts_.added_tokens) {
      if (token.text == text) return token.id;
    }
    const auto found = ids_.find(text);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

  void set_bos_and_eos() {
    const std::string leading =
        leading_special_token(optional("post_processor"), path_ + ": post_processor", 0);
    parts_.adds_bos = config_.adds_bos.value_or(!leading.empty());
    parts_.bos_id = configured_id("BOS", config_.bos_token, config_.bos_id);
    if (!parts_.bos_id && !leading.empty()) parts_.bos_id = id_of_text(leading);
    parts_.eos_id = configured_id("EOS", config_.eos_token, config_.eos_id);
  }

  std::optional<std::int32_t> configured_id(const char* what,
                                            const std::optional<std::string>& text,
                                            std::optional<std::int32_t> id) const {
    if (text) {
      id = id_of_text(*text);
      if (!id)
        fail("tokenizer",
             "{} has no token '{}', which tokenizer_config.json names as {}; mend "
             "one of the two",
             path_, *text, what);
    } else if (id && static_cast<std::size_t>(*id) >= parts_.bytes_of_id.size()) {
      fail("tokenizer", "{} has no id {}, which config.json names as {}; mend one of the two",
           path_, *id, what);
    }
    return id;
  }

  const std::string& path_;
  const Json json_;
  const TokenizerConfig& config_;
  Decoding decoding_;
  std::unordered_map<std::string, std::int32_t> ids_;
  std::unordered_set<std::string> special_names_;
  BpeTokenizerParts parts_;
};

}  // namespace

std::unique_ptr<Tokenizer> read_tokenizer_json(const std::string& path,
                                               const TokenizerConfig& config) {
  return std::make_unique<BpeTokenizer>(Reader(path, config).read());
}

}  // namespace reflect
