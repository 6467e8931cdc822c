@0xd1b6f2a8c3e94701;
struct Header { placeholder @0 :UInt64; }
