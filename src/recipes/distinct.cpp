#include "recipes/distinct.h"

#include <unistd.h>

#include <cstring>

#include "reflect/base/error.h"

namespace reflect {
namespace {

// What the file holds of a kept text, before its shingles and the keys of its bands.
struct Head {
  std::uint64_t place;
  std::uint32_t step, shingles, keys, unused;
};

class TextReader {
 public:
  explicit TextReader(const MappedFile& file) : file_(file) {}
  bool at_end() const { return at_ == file_.size(); }
  Head head() {
    Head head;
    copy(&head, sizeof(head));
    return head;
  }
  std::vector<std::uint32_t> numbers(std::size_t count) {
    if (count > (file_.size() - at_) / sizeof(std::uint32_t)) fail_short();
    std::vector<std::uint32_t> numbers(count);
    if (count != 0) copy(numbers.data(), count * sizeof(std::uint32_t));
    return numbers;
  }

 private:
  void copy(void* to, std::size_t bytes) {
    if (file_.size() - at_ < bytes) fail_short();
    std::memcpy(to, file_.data() + at_, bytes);
    at_ += bytes;
  }
  [[noreturn]] void fail_short() const {
    fail("distinct", "{}: ends within a text, at byte {}", file_.path(), file_.size());
  }

  const MappedFile& file_;
  std::size_t at_ = 0;
};

template <class T>
std::string_view bytes_of(const T* values, std::size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof(T)};
}

}  // namespace

DistinctRows::DistinctRows(const Recipe& recipe) {
  for (std::size_t i = 0; i < recipe.steps.size(); ++i) {
    const auto* step = std::get_if<DistinctStep>(&recipe.steps[i].settings);
    if (step == nullptr) continue;
    NearDuplicateConfig config;
    config.shingle_words = static_cast<std::size_t>(step->shingle_words);
    config.lowest_threshold = step->similarity;
    kept_.emplace(i, Kept{NearDuplicateFilter(config), {}});
  }
}

DistinctRows::DistinctRows(const Recipe& recipe, const std::string& path, std::int64_t bytes)
    : DistinctRows(recipe) {
  if (kept_.empty()) return;
  file_.emplace(path, bytes);
  read(path);
}

void DistinctRows::read(const std::string& path) {
  const MappedFile file(path);
  for (TextReader reader(file); !reader.at_end();) {
    const Head head = reader.head();
    NearDuplicateFilter::Text text;
    text.set = reader.numbers(head.shingles);
    text.keys = reader.numbers(head.keys);
    const auto kept = kept_.find(head.step);
    if (kept == kept_.end() || head.keys != kept->second.texts.bands()) {
      fail("distinct", "{}: holds a text of step {} with {} bands, which is none of this recipe",
           path, head.step, head.keys);
    }
    kept->second.texts.keep(std::move(text));
    kept->second.places.push_back(head.place);
  }
}

void DistinctRows::write(std::size_t step, std::uint64_t place,
                         const NearDuplicateFilter::Text& text) {
  const Head head = {place, static_cast<std::uint32_t>(step),
                     static_cast<std::uint32_t>(text.set.size()),
                     static_cast<std::uint32_t>(text.keys.size()), 0};
  file_->write(bytes_of(&head, 1));
  file_->write(bytes_of(text.set.data(), text.set.size()));
  file_->write(bytes_of(text.keys.data(), text.keys.size()));
}

void DistinctRows::judge(TraceRow& row) {
  if (row.fate != Fate::kAccepted) return;
  std::vector<std::pair<std::size_t, NearDuplicateFilter::Text>> texts;
  for (const auto& [step, text] : row.distinct) {
    const Kept& kept = kept_.at(step);
    texts.emplace_back(step, kept.texts.read(Words(text)));
    const auto match = kept.texts.find(texts.back().second);
    if (!match) continue;
    row.at_step = DistinctStep::kKind;
    return row.reject("near_duplicate", fmt::format("{:.2f} like the row of problem {}",
                                                    match->similarity, kept.places[match->text]));
  }
  for (auto& [step, text] : texts) {
    if (file_) write(step, row.task->place, text);
    Kept& kept = kept_.at(step);
    kept.texts.keep(std::move(text));
    kept.places.push_back(row.task->place);
  }
}

std::int64_t DistinctRows::sync() {
  return file_ ? file_->sync() : 0;
}

void DistinctRows::discard() {
  if (file_) ::unlink(file_->path().c_str());
}

}  // namespace reflect
