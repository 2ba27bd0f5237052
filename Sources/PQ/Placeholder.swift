enum PlaceholderPQ {}
