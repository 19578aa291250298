{
  "target_defaults": {
    "cflags": ["-O3", "-g", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fvisibility=hidden"],
    "cflags_c": ["-std=gnu11"],
    "cflags_cc": ["-std=c++17", "-fexceptions"],
    "cflags_cc!": ["-fno-exceptions"],
    "include_dirs": ["<!@(node -p \"require('node-addon-api').include_dir\")", "../bpf/src"],
    "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS"]
  },
  "targets": [
    {
      "target_name": "picket_lexer",
      "sources": [
        "src/lexer/addon.cc",
        "src/lexer/core/fingerprint.c",
        "src/lexer/core/text.c",
        "src/lexer/core/shape.c",
        "src/lexer/core/tokens.c",
        "src/lexer/core/redact.c",
        "src/lexer/core/token_rules.c"
      ]
    },
    {
      "target_name": "picket_bpf",
      # A thread that is being terminated cannot take an exception: drop it there. And no C++ exception, such
      # as one for want of memory, may cross into JavaScript as an abort.
      "defines": ["NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL"],
      "sources": [
        "src/bpf/addon/addon.cc",
        "src/bpf/addon/shared.cc",
        "src/bpf/addon/object.cc",
        "src/bpf/addon/program.cc",
        "src/bpf/addon/map.cc",
        "src/bpf/addon/link.cc",
        "src/bpf/addon/ring.cc",
        "src/bpf/addon/probe.cc",
        "src/bpf/addon/sockets.cc",
        "src/bpf/addon/process.cc"
      ],
      "libraries": ["-lbpf", "-lelf", "-lz"]
    },
    {
      "target_name": "picket-keeper",
      "type": "executable",
      "defines": ["_GNU_SOURCE"],
      "sources": [
        "src/keeper/main.c",
        "src/keeper/last-words.c",
        "src/keeper/kernel.c",
        "src/keeper/connections.c",
        "src/keeper/judge.c",
        "src/keeper/agent.c",
        "src/keeper/sever.c",
        "src/lexer/core/tokens.c",
        "src/lexer/core/token_rules.c"
      ],
      "libraries": ["-lbpf", "-lelf", "-lz", "-lpthread"]
    }
  ]
}
