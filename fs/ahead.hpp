// SPDX-License-Identifier: Apache-2.0
//
// Fetches in the background what a program that walks a tree will ask for next,
// in the order of its walk: directories (find, ls -R), and where it reads small
// files one after the other (grep -r, cp -r), those as well.
//
// A listed directory's own sub-directories are fetched at once, in packs, and the objects of its
// first files: who opens one waits for its first block only.  More is fetched only for who has
// proved to walk: who lists a second sub-directory of one parent, or reads a second file of one
// directory in order.  How much doubles while the guesses are right, up to the bounds of `Options`.
//
// Any thread may call any member; none of them waits, and failures are left to
// the one who asks for the thing itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fs/depot.hpp"

namespace nacre {

class Ahead {
 public:
  // The most that is fetched and not used yet, by one walk.
  struct Options {
    std::size_t directories = 1000;
    std::size_t entries = 50'000;  // in them
    std::size_t files = 1000;
    std::uint64_t file_bytes = std::uint64_t{8} << 20U;
    std::uint64_t small_file = std::uint64_t{256} << 10U;  // larger ones are not fetched ahead
    unsigned lanes = 16;                                   // blocks at once
    std::size_t nearby = 100;  // objects of files, of a directory that is in use: one pack
  };

  // A published directory and the name in it that was taken; none: it is listed itself.
  struct Step {
    ObjectId directory;
    std::string name;
  };
  // From a library's top to where somebody is.
  struct Way {
    LibraryId library;
    bool encrypted = false;
    std::vector<Step> steps;  // at least one
  };

  Ahead(Depot& depot, const Options& options);
  ~Ahead();  // what has not begun will not

  void listed(Way way);
  void reading(Way way, const ObjectId& file);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nacre
