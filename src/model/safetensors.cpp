#include "reflect/model/safetensors.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "reflect/base/error.h"

namespace reflect {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kLargestHeader = 100'000'000;  // the format's own limit

struct DtypeName {
  const char* name;
  at::ScalarType type;
};
constexpr DtypeName kDtypes[] = {{"F32", at::kFloat},  {"BF16", at::kBFloat16}, {"F16", at::kHalf},
                                 {"F64", at::kDouble}, {"I64", at::kLong},      {"I32", at::kInt},
                                 {"I16", at::kShort},  {"I8", at::kChar},       {"U8", at::kByte},
                                 {"BOOL", at::kBool}};

std::optional<at::ScalarType> dtype_named(const std::string& name) {
  for (const DtypeName& d : kDtypes)
    if (name == d.name) return d.type;
  return std::nullopt;
}

const char* name_of_dtype_tag(at::ScalarType type) {
  for (const DtypeName& d : kDtypes)
    if (type == d.type) return d.name;
  fail("safetensors", "no tag for dtype {}", c10::toString(type));
}

json parse_header(const MappedFile& file, std::size_t& data_begin) {
  if (file.size() < kLengthBytes)
    fail("safetensors",
         "{}: {} bytes, shorter than the 8-byte header length; the file is truncated", file.path(),
         file.size());
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kLargestHeader || length > file.size() - kLengthBytes)
    fail(
        "safetensors",
        "{}: byte 0: header length {} is larger than the file ({} bytes) or the format allows; the "
        "file is truncated or not safetensors",
        file.path(), length, file.size());
  data_begin = kLengthBytes + length;
  const char* text = reinterpret_cast<const char*>(file.data()) + kLengthBytes;
  // A header is two levels deep; refusing deeper nesting keeps the parser's recursion bounded.
  const auto shallow = [](int depth, json::parse_event_t, json&) {
    if (depth > 8) throw std::runtime_error("nested too deeply");
    return true;
  };
  try {
    json header = json::parse(text, text + length, shallow);
    if (!header.is_object()) throw std::runtime_error("not a JSON object");
    return header;
  } catch (const std::exception& e) {
    fail("safetensors", "{}: bytes 8 to {}: unreadable header ({}); write the file again",
         file.path(), data_begin, e.what());
  }
}

// Elements of a shape, or nothing when the product overflows.
std::optional<std::size_t> element_count(const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (std::int64_t n : shape)
    if (n < 0 || __builtin_mul_overflow(count, static_cast<std::size_t>(n), &count))
      return std::nullopt;
  return count;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path) {
  const json header = parse_header(file_, data_begin_);
  for (const auto& [name, value] : header.items())
    if (name != "__metadata__") entries_[name] = read_entry(name, value);
  check_overlap();
}

SafetensorsFile::Entry SafetensorsFile::read_entry(const std::string& name,
                                                   const json& value) const {
  const auto bad = [&](const std::string& why) {
    fail("safetensors", "{}: tensor '{}': {}", file_.path(), name, why);
  };
  Entry entry{};
  try {
    const std::string tag = value.at("dtype").get<std::string>();
    const auto dtype = dtype_named(tag);
    if (!dtype) bad("dtype '" + tag + "' is not supported (F32, BF16, F16, F64, I*, U8, BOOL are)");
    entry.dtype = *dtype;
    entry.shape = value.at("shape").get<std::vector<std::int64_t>>();
    const auto offsets = value.at("data_offsets").get<std::vector<std::uint64_t>>();
    if (offsets.size() != 2)
      bad("data_offsets has " + std::to_string(offsets.size()) + " values, not 2");
    entry.begin = offsets[0];
    entry.end = offsets[1];
  } catch (const json::exception& e) {
    bad(std::string("malformed entry (") + e.what() + ")");
  }
  const std::size_t data_size = file_.size() - data_begin_;
  if (entry.begin > entry.end || entry.end > data_size)
    bad(fmt::format(
        "bytes {} to {} lie outside the data section of {} bytes; the file is truncated",
        entry.begin, entry.end, data_size));
  const auto count = element_count(entry.shape);
  const std::size_t element = c10::elementSize(entry.dtype);
  if (!count || *count > data_size / element + 1 || *count * element != entry.end - entry.begin)
    bad(fmt::format("shape [{}] of {} needs other than the {} bytes it has",
                    fmt::join(entry.shape, ", "), c10::toString(entry.dtype),
                    entry.end - entry.begin));
  return entry;
}

void SafetensorsFile::check_overlap() const {
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  for (const auto& [name, entry] : entries_)
    if (entry.begin != entry.end) ranges.emplace_back(entry.begin, entry.end);
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i)
    if (ranges[i].first < ranges[i - 1].second)
      fail("safetensors", "{}: two tensors share byte {} of the data section; write the file again",
           file_.path(), ranges[i].first);
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

bool SafetensorsFile::contains(const std::string& name) const {
  return entries_.contains(name);
}

at::Tensor SafetensorsFile::view(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail("safetensors", "{}: no tensor '{}'", file_.path(), name);
  const Entry& entry = found->second;
  const std::uint8_t* bytes = file_.data() + data_begin_ + entry.begin;
  return at::from_blob(const_cast<std::uint8_t*>(bytes), entry.shape,
                       at::TensorOptions().dtype(entry.dtype));
}

Checkpoint::Checkpoint(const std::string& folder) : folder_(folder) {
  const fs::path single = fs::path(folder) / "model.safetensors";
  const fs::path index = fs::path(folder) / "model.safetensors.index.json";
  if (fs::exists(single)) {
    files_.push_back(std::make_unique<SafetensorsFile>(single.string()));
    for (const std::string& name : files_[0]->names()) file_of_[name] = 0;
  } else if (fs::exists(index)) {
    open_shards(index.string());
  } else {
    fail("checkpoint",
         "{}: neither model.safetensors nor model.safetensors.index.json; convert "
         "the checkpoint to safetensors or check the path",
         folder);
  }
}

void Checkpoint::open_shards(const std::string& index_path) {
  std::map<std::string, std::string> shard_of;
  try {
    shard_of = json::parse(read_file(index_path)).at("weight_map").get<decltype(shard_of)>();
  } catch (const json::exception& e) {
    fail("checkpoint", "{}: unreadable weight_map ({})", index_path, e.what());
  }
  std::map<std::string, std::size_t> opened;
  for (const auto& [name, shard] : shard_of) {
    if (fs::path(shard).has_parent_path())
      fail("checkpoint", "{}: shard '{}' is not a plain file name", index_path, shard);
    auto [at, fresh] = opened.try_emplace(shard, files_.size());
    if (fresh)
      files_.push_back(std::make_unique<SafetensorsFile>((fs::path(folder_) / shard).string()));
    if (!files_[at->second]->contains(name))
      fail("checkpoint",
           "{}: '{}' should be in {}, which does not hold it; the download is incomplete",
           index_path, name, shard);
    file_of_[name] = at->second;
  }
}

bool Checkpoint::contains(const std::string& name) const {
  return file_of_.contains(name);
}

at::Tensor Checkpoint::view(const std::string& name) const {
  const auto found = file_of_.find(name);
  if (found == file_of_.end()) fail("checkpoint", "{}: no tensor '{}'", folder_, name);
  return files_[found->second]->view(name);
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : file_of_) names.push_back(name);
  return names;
}

SafetensorsWriter::SafetensorsWriter(const std::string& path,
                                     const std::vector<TensorShape>& shapes)
    : path_(path), shapes_(shapes), writer_(path) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::size_t offset = 0;
  for (const TensorShape& t : shapes_) {
    const std::size_t bytes = element_count(t.shape).value() * c10::elementSize(t.dtype);
    header[t.name] = {{"dtype", name_of_dtype_tag(t.dtype)},
                      {"shape", t.shape},
                      {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');  // aligned data
  const std::uint64_t length = text.size();
  std::string length_bytes(kLengthBytes, '\0');
  std::memcpy(length_bytes.data(), &length, kLengthBytes);
  writer_.write(length_bytes);
  writer_.write(text);
}

void SafetensorsWriter::write(const at::Tensor& tensor) {
  const TensorShape& expected = shapes_.at(written_);
  if (tensor.sizes() != at::IntArrayRef(expected.shape) || tensor.scalar_type() != expected.dtype)
    fail("safetensors", "{}: tensor '{}' is not what the header promises", path_, expected.name);
  const at::Tensor plain = tensor.to(at::kCPU).contiguous();
  writer_.write({static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()});
  ++written_;
}

void SafetensorsWriter::commit() {
  if (written_ != shapes_.size())
    fail("safetensors", "{}: {} of {} tensors written", path_, written_, shapes_.size());
  writer_.commit();
}

void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors) {
  std::vector<TensorShape> shapes;
  for (const NamedTensor& t : tensors)
    shapes.push_back({t.name, t.tensor.sizes().vec(), t.tensor.scalar_type()});
  SafetensorsWriter writer(path, shapes);
  for (const NamedTensor& t : tensors) writer.write(t.tensor);
  writer.commit();
}

}  // namespace reflect
