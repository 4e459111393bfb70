// A folder of tokenized data files, shared by the runs and processes that train on the same rows.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "reflect/data/tokenized_corpus.h"

namespace reflect {

// A cached file is named by the hash of its key: the contents of the data file, and settings. A
// file that is truncated, damaged or has another key is named in a warning and made again. Of
// several processes that want the same one, the first makes it and the others wait for its lock
// (where the file system has none, each makes it; the last to finish replaces the others' with the
// same bytes). No trouble with the folder ends a run: a warning says that the rows are kept in
// memory instead.
class CorpusCache {
 public:
  // Adds a data file's rows to the writer; returns the account of them that is kept beside them.
  using Tokenize = std::function<Json(TokenizedFileWriter&)>;

  // `folder` empty: all is kept in memory. `settings`: an object of all that, besides the contents
  // of a data file, the rows depend on.
  CorpusCache(std::string folder, Json settings);

  // The rows of a data file. What is no regular file ("-", a pipe) is kept in memory. Errors of
  // `tokenize` pass through; Error where the data file changes meanwhile.
  std::shared_ptr<const TokenizedFile> rows_of(const std::string& data_file,
                                               const Tokenize& tokenize) const;

 private:
  using Rows = std::shared_ptr<const TokenizedFile>;
  Rows cached(const std::string& path, const Json& key, bool warn) const;
  void write(const std::string& path, const Json& key, const std::string& data_file,
             const Tokenize& tokenize) const;

  std::string folder_;
  Json settings_;
};

}  // namespace reflect
