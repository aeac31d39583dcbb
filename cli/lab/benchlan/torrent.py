"""One side of a libtorrent swarm, with settings tuned for a local network: no
discovery, no encryption, no uTP, everybody connected to everybody, all unchoked,
choking decided anew each second. The arguments say which side:

    make FILE TORRENT                write the torrent of a file
    seed TORRENT DIR ADDR            serve it from DIR until killed
    get TORRENT DIR ADDR GO PEER...  fetch it into DIR as soon as the file GO exists
"""

import os
import sys
import time

import libtorrent as lt

PORT = 6881
V1_ONLY = 1 << 6  # the binding has no name for it
TUNED = {
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_outgoing_utp": False, "enable_incoming_utp": False, "mixed_mode_algorithm": 0,
    "out_enc_policy": 2, "in_enc_policy": 2, "allow_multiple_connections_per_ip": True,
    "smooth_connects": False, "connection_speed": 500, "torrent_connect_boost": 100,
    "unchoke_slots_limit": 32, "unchoke_interval": 1, "optimistic_unchoke_interval": 2,
    "seed_choking_algorithm": 0, "peer_turnover": 0, "min_reconnect_time": 1,
    "max_out_request_queue": 1500, "max_allowed_in_request_queue": 4000, "request_queue_time": 2,
    "send_buffer_watermark": 3 << 20, "send_buffer_low_watermark": 64 << 10,
    "rate_limit_ip_overhead": False, "strict_end_game_mode": False, "suggest_mode": 0,
    "aio_threads": 4, "hashing_threads": 2, "close_redundant_connections": True,
    "alert_mask": lt.alert.category_t.error_notification,
}


def make(path, torrent):
    files = lt.file_storage()
    lt.add_files(files, path)
    size = os.path.getsize(path)
    made = lt.create_torrent(files, (256 << 10) if size <= 256 << 20 else 1 << 20, V1_ONLY)
    lt.set_piece_hashes(made, os.path.dirname(path))
    with open(torrent, "wb") as out:
        out.write(lt.bencode(made.generate()))


def session(addr):
    return lt.session({**TUNED, "listen_interfaces": f"{addr}:{PORT}", "outgoing_interfaces": addr})


def params(torrent, into, flags):
    p = lt.add_torrent_params()
    p.ti = lt.torrent_info(torrent)
    p.save_path = into
    p.flags = flags
    return p


def seed(torrent, into, addr):
    s = session(addr)
    s.add_torrent(params(torrent, into, lt.torrent_flags.seed_mode))
    print("Seeding", flush=True)
    while True:
        time.sleep(60)


def get(torrent, into, addr, go, *peers):
    s = session(addr)
    print("Ready", flush=True)
    while not os.path.exists(go):
        time.sleep(0.005)
    h = s.add_torrent(params(torrent, into, lt.torrent_flags.default_flags & ~(
        lt.torrent_flags.auto_managed | lt.torrent_flags.paused)))
    for p in peers:
        h.connect_peer((p, PORT))
    while not h.status().is_seeding:
        time.sleep(0.01)
    print("Done", flush=True)
    while True:
        time.sleep(60)


{"make": make, "seed": seed, "get": get}[sys.argv[1]](*sys.argv[2:])
