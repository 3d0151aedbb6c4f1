// SPDX-License-Identifier: Apache-2.0
//
// For http_loop.cpp only.
#pragma once

#include <curl/curl.h>

#include <algorithm>
#include <vector>

#include "remote/http.hpp"

namespace nacre {

// Request headers in memory of our own, wiped when it goes: curl sends them from here.
class HeaderList {
 public:
  explicit HeaderList(const HttpRequest& request) {
    std::size_t size = 0;
    for (const auto& line : request.headers) size += line.size() + 1;
    for (const auto& line : request.secret_headers) {
      size += line.start.size() + line.secret->bytes().size() + 1;
    }
    text_.reserve(size);  // never moves: nothing of it is left behind anywhere
    nodes_.reserve(request.headers.size() + request.secret_headers.size() + 1);
    static char no_expect[] = "Expect:";  // NOLINT(modernize-avoid-c-arrays): curl wants char*
    nodes_.push_back({no_expect, nullptr});
    for (const auto& line : request.headers) add(as_bytes(line), {});
    for (const auto& line : request.secret_headers) {
      add(as_bytes(line.start), line.secret->bytes());
    }
    for (std::size_t i = 1; i < nodes_.size(); ++i) nodes_[i - 1].next = &nodes_[i];
  }
  ~HeaderList() { wipe(text_); }
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;

  curl_slist* get() noexcept { return nodes_.data(); }

 private:
  void add(ByteView start, ByteView rest) {
    const auto cuts = [](std::uint8_t c) { return c < 0x20; };
    if (std::ranges::any_of(start, cuts) || std::ranges::any_of(rest, cuts)) {
      throw Error(Errc::invalid, "a header holds a line break");
    }
    const auto at = text_.size();
    text_.insert(text_.end(), start.begin(), start.end());
    text_.insert(text_.end(), rest.begin(), rest.end());
    text_.push_back(0);
    nodes_.push_back({reinterpret_cast<char*>(text_.data() + at), nullptr});
  }

  Bytes text_;
  std::vector<curl_slist> nodes_;
};

}  // namespace nacre
