// The projections of a checkpoint in few bits, one by one: quantised from it, or read from a cache
// that an earlier run has left.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "reflect/model/safetensors.h"
#include "reflect/model/weights.h"
#include "weight_codec.h"

namespace reflect {

// The cache is a folder with a file for each decoder block, in a folder named after the codec and
// the checkpoint: sizes and times of its files, and a sample of each projection. A file that is
// malformed is reported and written anew; a folder that cannot be written to is reported, and
// codes are then made in memory as without a cache.
class CodeSource {
 public:
  // `files`, of the checkpoint in `folder`, must outlive this. `cache` (BaseConfig::cache): empty
  // for none. Writes the blocks that the cache lacks. The processes of a job begin at different
  // blocks and pass over what another has written meanwhile: together they make about one copy.
  CodeSource(const std::string& folder, const StreamedWeights& files, const LlamaConfig& config,
             WeightCodec codec, const std::string& cache);

  // Valid until the block is released: where it comes from the cache it lies in the mapped file.
  QuantizedMatrix matrix(std::int64_t layer, Projection projection);
  void release(std::int64_t layer);

  std::int64_t read_bytes() const { return read_bytes_; }  // by matrix(): of values or of codes

 private:
  // The tensors of a block's file: a matrix's pieces as bytes, and the mean absmax of NF4.
  std::vector<TensorShape> contents(std::int64_t layer) const;
  std::string path(std::int64_t layer) const;
  bool is_cached(std::int64_t layer) const;
  void fill_cache();
  void write(std::int64_t layer) const;
  QuantizedMatrix quantized(std::int64_t layer, Projection projection) const;
  QuantizedMatrix mapped(const SafetensorsFile& file, std::int64_t layer, Projection p) const;

  const StreamedWeights& files_;
  LlamaConfig config_;
  WeightCodec codec_;
  std::string folder_;  // of this checkpoint's codes; empty: no cache
  std::map<std::int64_t, std::unique_ptr<SafetensorsFile>> opened_;  // by layer
  std::int64_t read_bytes_ = 0;
};

}  // namespace reflect
