// SPDX-License-Identifier: Apache-2.0
//
// What can go wrong, in our own words.
//
// A failure is thrown as Error; an absence is returned as std::optional.  A
// foreign code (CURLcode, MDB_*, an HTTP status) becomes an Errc in the file
// that first meets it, so that no layer above ever sees one.  what() reads
// "what: why; what to do" without the program's name.
#pragma once

#include <stdexcept>
#include <string>

namespace nacre {

enum class Errc {
  not_found,       // no such name, object, library, or account
  exists,          // the name is taken
  not_directory,   // a directory was meant
  is_directory,    // a file was meant
  not_empty,       // the directory still has entries
  cross_library,   // a rename from one library to another
  name_too_long,   // more than 255 bytes
  invalid,         // an argument that nobody could serve
  unsupported,     // valid, but a Seafile library cannot hold it, or we do not speak it
  not_permitted,   // what a library does not keep: owners, links, devices
  too_large,       // past the largest file
  no_data,         // nothing behind this offset
  denied,          // the server says no to this user or token
  wrong_password,  // the password of an account or of a library
  locked,          // an encrypted library whose password has not been given
  unreachable,     // no answer, after all retries; nothing is known
  busy,            // the server asks to come back later, or lost a race
  gone,            // the library was deleted on the server
  rolled_back,     // the server has an older state of the library than we have seen
  unconfirmed,     // so much would be deleted on the server that a person is asked first
  corrupt,         // bytes that do not match their id, do not parse, or do not decrypt
  quota,           // the account is full
  full,            // the disk here is full
  read_only,       // the mount or the library takes no changes
  interrupted,     // the caller stopped waiting
  internal,        // a bug of ours
};

class Error : public std::runtime_error {
 public:
  Error(Errc code, const std::string& what) : std::runtime_error(what), code_(code) {}

  [[nodiscard]] Errc code() const noexcept { return code_; }

 private:
  Errc code_;
};

}  // namespace nacre
