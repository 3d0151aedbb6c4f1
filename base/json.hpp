// SPDX-License-Identifier: Apache-2.0
//
// Writes JSON text exactly as Seafile's own producer does: ", " and ": "
// between, raw UTF-8, control characters as \b \f \n \r \t or \u00XX with
// upper-case digits (seafile-protocol, section 1.4).  Reading is remote/'s.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace nacre {

// Appends `text` as a quoted JSON string.
inline void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (byte < 0x20) {
          out += "\\u00";
          out += digits[byte >> 4U];
          out += digits[byte & 15U];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

// Builds one document from the outside in; commas come by themselves.
//   JsonWriter json;
//   json.object().key("size").value(5).key("names").array().value("a").end().end();
class JsonWriter {
 public:
  JsonWriter& object() { return open('{', '}'); }
  JsonWriter& array() { return open('[', ']'); }
  JsonWriter& end() {
    fresh_ = after_key_ = false;
    text_ += closers_.back();
    closers_.pop_back();
    return *this;
  }
  JsonWriter& key(std::string_view name) {
    separate();
    append_json_string(text_, name);
    text_ += ": ";
    after_key_ = true;
    return *this;
  }
  JsonWriter& value(std::string_view text) {
    separate();
    append_json_string(text_, text);
    return *this;
  }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool yes) { return raw(yes ? "true" : "false"); }
  template <std::integral T>
  requires(!std::same_as<T, bool>) JsonWriter& value(T number) {
    return raw(std::to_string(number));
  }
  JsonWriter& null() { return raw("null"); }
  JsonWriter& text_or_null(std::string_view text) { return text.empty() ? null() : value(text); }
  JsonWriter& raw(std::string_view json) {  // a value that is JSON already
    separate();
    text_ += json;
    return *this;
  }

  [[nodiscard]] std::string take() && { return std::move(text_); }

 private:
  JsonWriter& open(char opener, char closer) {
    separate();
    text_ += opener;
    closers_ += closer;
    fresh_ = true;
    return *this;
  }
  void separate() {
    if (!fresh_ && !after_key_ && !closers_.empty()) text_ += ", ";
    fresh_ = after_key_ = false;
  }

  std::string text_, closers_;
  bool fresh_ = true, after_key_ = false;
};

}  // namespace nacre
