"""What leaves and enters in other people's formats; pure functions over the domain's words."""
