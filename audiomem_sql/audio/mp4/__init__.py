"""FLAC in fragments of MP4, and the playlists that name them: what players of HLS take."""
